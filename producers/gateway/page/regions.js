// Regions: a box over the query picture for each thing in it, and chips that choose one of them or the whole.
import { find, h, percent } from "./dom.js";

const NEXT = { ArrowRight: 1, ArrowDown: 1, ArrowLeft: -1, ArrowUp: -1 };

/** The name of a chosen region, as "thing 2 of 3"; `chosen` counts from 0. */
export const regionName = (regions, chosen) => `thing ${chosen + 1} of ${regions.length}`;

/** The boxes and chips; `onChoose` is called with the number of a region, from 0, or null for the whole picture. */
export class RegionControls {
  #boxes = find("boxes");
  #chips = find("parts");
  #regions = [];

  constructor(onChoose) {
    this.onChoose = onChoose;
    this.#chips.addEventListener("keydown", (event) => this.#press(event));
    this.#boxes.addEventListener("click", (event) => this.#click(event));
  }

  /** Show the regions of a result, and which is chosen (null: the whole). Without regions there is nothing to see. */
  show(regions, chosen) {
    if (regions !== this.#regions) this.#draw(regions);
    for (const element of [...this.#boxes.children, ...this.#chips.querySelectorAll("button")]) {
      const isChosen = element.dataset.region === String(chosen ?? "");
      if (element.localName === "button") element.ariaPressed = String(isChosen);
      else element.classList.toggle("chosen", isChosen);
    }
  }

  #draw(regions) {
    this.#regions = regions;
    const boxes = regions.map((region, n) => box(region, n));
    const area = (each) => regions[each.dataset.region].box.w * regions[each.dataset.region].box.h;
    this.#boxes.replaceChildren(...boxes.toSorted((one, other) => area(other) - area(one))); // a small box lies on a large one
    const chips = regions.map((region, n) => this.#chip(n, chipText(region, n), `Thing ${n + 1} of ${regions.length}: ${kindText(region)}`));
    const whole = regions.length ? [this.#chip("", ["Whole picture"], null)] : [];
    this.#chips.replaceChildren(...[...whole, ...chips].map((chip) => h("li", {}, chip)));
  }

  #chip(number, content, ariaLabel) {
    const mark = (on) => this.#boxes.querySelector(`[data-region="${number}"]`)?.classList.toggle("marked", on);
    const chosen = number === "" ? null : number;
    const properties = { type: "button", ariaLabel, "data-region": String(number), onclick: () => this.onChoose(chosen) };
    const chip = h("button.chip", properties, ...content);
    for (const [name, on] of [["focus", true], ["blur", false], ["pointerenter", true], ["pointerleave", false]]) {
      chip.addEventListener(name, () => mark(on));
    }
    return chip;
  }

  #click(event) {
    const number = event.target.closest("[data-region]")?.dataset.region;
    if (number === undefined) return;
    this.#chips.querySelector(`[data-region="${number}"]`).focus({ preventScroll: true });
    this.onChoose(Number(number));
  }

  #press(event) {
    const chips = [...this.#chips.querySelectorAll("button")];
    const step = NEXT[event.key];
    if (event.key === "Escape") {
      chips[0].focus();
      this.onChoose(null);
    } else if (step) {
      event.preventDefault();
      chips.at((chips.indexOf(document.activeElement) + step) % chips.length).focus();
    }
  }
}

function box({ box: { x, y, w, h: height } }, number) {
  const place = Object.fromEntries(Object.entries({ x, y, w, h: height }).map(([side, share]) => [`--${side}`, `${share * 100}%`]));
  return h("div.box", { ...place, "data-region": String(number) }, h("b", {}, String(number + 1)));
}

const kindText = ({ categories: [likely] }) => (likely ? `${likely.name}, ${percent(likely.confidence)}` : "of no known kind");

function chipText({ categories: [likely] }, number) {
  return [h("b", {}, String(number + 1)), likely ? likely.name : "unknown", likely ? h("i", {}, percent(likely.confidence)) : null];
}
