// The crop box on the query's picture: drawn, moved and resized by pointer or keys; in fractions of the picture.
import { find, h } from "./dom.js";

const LEAST = 0.05; // side of a crop, fraction of the picture
const STEP = 0.04; // of an arrow key
const CORNERS = ["nw", "ne", "sw", "se"];
const FIRST = { x: 0.2, y: 0.2, w: 0.6, h: 0.6 };
const ARROWS = { ArrowLeft: [-1, 0], ArrowRight: [1, 0], ArrowUp: [0, -1], ArrowDown: [0, 1] };

const within = (value, low, high) => Math.min(Math.max(value, low), high);

/** The box between two corners, in order and inside the picture. */
function between(a, b) {
  const [x, y] = [within(Math.min(a.x, b.x), 0, 1), within(Math.min(a.y, b.y), 0, 1)];
  return { x, y, w: within(Math.max(a.x, b.x), 0, 1) - x, h: within(Math.max(a.y, b.y), 0, 1) - y };
}

function moved(box, dx, dy) {
  return { ...box, x: within(box.x + dx, 0, 1 - box.w), y: within(box.y + dy, 0, 1 - box.h) };
}

function resized(box, dx, dy) {
  return { ...box, w: within(box.w + dx, LEAST, 1 - box.x), h: within(box.h + dy, LEAST, 1 - box.y) };
}

/** Lets a crop be chosen; `chosen` is called with each that was settled on, or null for the whole picture. */
export class CropBox {
  #stage = find("stage");
  #element = find("crop");
  #box = null;
  #drag = null;

  constructor(chosen) {
    this.chosen = chosen;
    this.#element.append(...CORNERS.map((corner) => h("i", { "data-corner": corner, "aria-hidden": "true" })));
    this.#stage.addEventListener("pointerdown", (event) => this.#begin(event));
    this.#stage.addEventListener("pointermove", (event) => this.#go(event));
    this.#stage.addEventListener("pointerup", () => this.#end());
    this.#stage.addEventListener("pointercancel", () => this.#end());
    this.#element.addEventListener("keydown", (event) => this.#press(event));
    find("crop-start").addEventListener("click", () => this.#start());
    find("crop-clear").addEventListener("click", () => this.#settle(null));
  }

  /** Show a crop, or none; `possible` is whether the picture can be cropped at all. */
  show(crop, possible) {
    this.possible = possible;
    this.#draw(crop);
    this.#stage.classList.remove("cropping");
    find("crop-start").hidden = !possible || crop !== null;
    find("crop-clear").hidden = !possible || crop === null;
  }

  #start() {
    this.#stage.classList.add("cropping");
    this.#draw(FIRST);
    this.#element.focus();
    find("crop-clear").hidden = false;
    find("crop-start").hidden = true;
    this.chosen(FIRST);
  }

  #draw(box) {
    this.#box = box;
    this.#element.hidden = box === null;
    for (const side of box === null ? [] : ["x", "y", "w", "h"]) {
      this.#element.style.setProperty(`--${side}`, `${box[side] * 100}%`);
    }
  }

  #at(event) {
    const frame = this.#stage.getBoundingClientRect();
    return { x: (event.clientX - frame.left) / frame.width, y: (event.clientY - frame.top) / frame.height };
  }

  #begin(event) {
    if (!this.possible || event.button !== 0) return;
    const touches = event.pointerType === "touch" && this.#box === null;
    if (touches) return; // a finger scrolls the page, until there is a box
    const at = this.#at(event);
    const corner = event.target.dataset?.corner;
    this.#stage.setPointerCapture(event.pointerId);
    if (corner) this.#drag = { from: this.#across(corner), how: "corner" };
    else if (event.target === this.#element) this.#drag = { from: at, box: this.#box, how: "move" };
    else this.#drag = { from: at, before: this.#box, how: "corner" };
    event.preventDefault();
  }

  #across(corner) {
    const { x, y, w, h: height } = this.#box;
    return { x: corner.includes("w") ? x + w : x, y: corner.includes("n") ? y + height : y };
  }

  #go(event) {
    if (this.#drag === null) return;
    const { from, box, how } = this.#drag;
    const at = this.#at(event);
    this.#draw(how === "move" ? moved(box, at.x - from.x, at.y - from.y) : between(from, at));
    this.#drag.went = true;
  }

  #end() {
    const drag = this.#drag;
    this.#drag = null;
    if (!drag?.went) return;
    const enough = this.#box.w >= LEAST && this.#box.h >= LEAST;
    if (enough) this.#settle(this.#box);
    else this.#draw(drag.before ?? drag.box ?? null);
  }

  #press(event) {
    if (event.key === "Delete" || event.key === "Backspace") this.#settle(null);
    const arrow = ARROWS[event.key];
    if (!arrow || this.#box === null) return;
    event.preventDefault();
    const change = event.shiftKey ? resized : moved;
    this.#settle(change(this.#box, arrow[0] * STEP, arrow[1] * STEP));
  }

  #settle(box) {
    this.#draw(box);
    this.chosen(box);
  }
}
