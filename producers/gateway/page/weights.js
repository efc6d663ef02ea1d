// What counts: four intents by name, and a slider for each part of the look.
import { find, h, percent } from "./dom.js";

const INTENTS = { exact: "Same", similar: "Similar", style: "Style", colour: "Colour" };
/** The parts of the look, and what they are called. */
export const PARTS = { object: "Kind", style: "Style", colour: "Colour" };

/** The score of a hit under other weights: the cosines of its parts, weighted (schemas/ranking.py). */
export function score(hit, weights) {
  const names = Object.keys(PARTS);
  const whole = names.reduce((sum, part) => sum + weights[part], 0);
  return names.reduce((sum, part) => sum + (weights[part] / whole) * hit.explained[part], 0);
}

/** Lets weights be chosen: `moving` is called while a slider moves, `settled` when it rests, `named` with an intent. */
export class WeightControls {
  #sliders = {};
  #buttons = {};

  constructor({ moving, settled, named }) {
    for (const [intent, label] of Object.entries(INTENTS)) {
      this.#buttons[intent] = h("button", { type: "button", onclick: () => named(intent) }, label);
      find("intents").append(this.#buttons[intent]);
    }
    for (const [part, label] of Object.entries(PARTS)) {
      const shown = h("output");
      const oninput = () => { this.#tell(); moving(this.weights); };
      const slider = h("input", { type: "range", min: 0, max: 100, step: 5, oninput, onchange: () => settled(this.weights) });
      this.#sliders[part] = { slider, shown };
      find("sliders").append(h("label.slider", {}, label, slider, shown));
    }
  }

  /** The weights as the sliders stand; something always counts. */
  get weights() {
    const shares = Object.entries(this.#sliders).map(([part, { slider }]) => [part, slider.value / 100]);
    const weights = Object.fromEntries(shares);
    return shares.some(([, share]) => share > 0) ? weights : { object: 1, style: 0, colour: 0 };
  }

  /** Show an intent, or none, and the weights that were used. */
  show(intent, weights) {
    for (const [name, button] of Object.entries(this.#buttons)) button.ariaPressed = String(name === intent);
    if (!weights || document.activeElement?.type === "range") return; // a slider under the hand stays where it is
    for (const [part, { slider }] of Object.entries(this.#sliders)) slider.value = weights[part] * 100;
    this.#tell();
  }

  #tell() {
    const weights = this.weights;
    const whole = Object.values(weights).reduce((sum, each) => sum + each, 0);
    for (const [part, { shown }] of Object.entries(this.#sliders)) shown.textContent = percent(weights[part] / whole);
  }
}
