// The controls of weights: buttons for the four intents, and a slider for each part of the look.
import { find, h, percent } from "./dom.js";

const INTENTS = { exact: "Same", similar: "Similar", style: "Style", colour: "Colour" };
/** The parts of the look, with their labels. */
export const PARTS = { object: "Kind", style: "Style", colour: "Colour" };

/** The score of a hit: the weighted mean of the cosines of its parts (schemas/ranking.py). */
export function score(hit, weights) {
  const names = Object.keys(PARTS);
  const total = names.reduce((sum, part) => sum + weights[part], 0);
  return names.reduce((sum, part) => sum + (weights[part] / total) * hit.explained[part], 0);
}

/** The controls of weights: `onMove` is called while a slider moves, `onChange` at its end, `onIntent` with an intent. */
export class WeightControls {
  #sliders = {};
  #buttons = {};

  constructor({ onMove, onChange, onIntent }) {
    for (const [intent, label] of Object.entries(INTENTS)) {
      this.#buttons[intent] = h("button", { type: "button", onclick: () => onIntent(intent) }, label);
      find("intents").append(this.#buttons[intent]);
    }
    for (const [part, label] of Object.entries(PARTS)) {
      const output = h("output");
      const oninput = () => { this.#showShares(); onMove(this.weights); };
      const slider = h("input", { type: "range", min: 0, max: 100, step: 5, oninput, onchange: () => onChange(this.weights) });
      this.#sliders[part] = { slider, output };
      find("sliders").append(h("label.slider", {}, label, slider, output));
    }
  }

  /** The weights of the sliders; when all are 0, the kind alone counts. */
  get weights() {
    const shares = Object.entries(this.#sliders).map(([part, { slider }]) => [part, slider.value / 100]);
    const weights = Object.fromEntries(shares);
    return shares.some(([, share]) => share > 0) ? weights : { object: 1, style: 0, colour: 0 };
  }

  /** Show an intent, or none, and the weights of the search. */
  show(intent, weights) {
    for (const [name, button] of Object.entries(this.#buttons)) button.ariaPressed = String(name === intent);
    if (!weights || document.activeElement?.type === "range") return; // do not move a slider that the user moves
    for (const [part, { slider }] of Object.entries(this.#sliders)) slider.value = weights[part] * 100;
    this.#showShares();
  }

  #showShares() {
    const weights = this.weights;
    const total = Object.values(weights).reduce((sum, each) => sum + each, 0);
    for (const [part, { output }] of Object.entries(this.#sliders)) output.textContent = percent(weights[part] / total);
  }
}
