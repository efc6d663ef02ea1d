// Query understanding: the likely categories and colours of the picture; a click makes one a filter.
import { find, h, percent } from "./dom.js";

const DISTANCE = 15; // of a colour filter around a swatch, CIE76
const LOW_COVERAGE = 0.35; // as in schemas/results.py

/** Show the categories and colours of a result; `choose` is called with a field and a value. */
export function showUnderstanding(result, filters, choose) {
  const likely = result.categories.map((each) => categoryChip(each, filters, choose));
  const palette = result.palette.map((each) => swatch(each, filters, choose));
  find("likely").replaceChildren(...likely);
  find("palette").replaceChildren(...palette);
  find("narrowed").textContent = narrowing(result);
  find("coverage").textContent = warning(result);
  find("understood").hidden = likely.length + palette.length === 0;
}

function categoryChip({ name, confidence }, filters, choose) {
  const pressed = String((filters.category ?? []).includes(name));
  const properties = { type: "button", ariaPressed: pressed, title: "Filter by this category", onclick: () => choose("category", name) };
  return h("li", {}, h("button.chip", properties, name, " ", h("i", {}, percent(confidence))));
}

function swatch({ hex, name, share }, filters, choose) {
  const colour = `${hex}~${DISTANCE}`;
  const label = `Filter by this ${name}, ${percent(share)} of the picture`;
  const pressed = String((filters.colours ?? []).includes(colour));
  const properties = { type: "button", "--swatch": hex, ariaPressed: pressed, ariaLabel: label, title: label };
  return h("li", {}, h("button.swatch", { ...properties, onclick: () => choose("colours", colour) }));
}

function warning({ coverage, hits }) {
  if (coverage === undefined || coverage >= LOW_COVERAGE || !hits.length) return "";
  return "Perhaps nothing of this kind is sold here. These are the nearest items.";
}

function narrowing({ added, relaxed }) {
  const words = (filters) => [...(filters?.category ?? []), ...(filters?.colours ?? [])].join(", ");
  if (words(relaxed)) return `Narrowing to ${words(relaxed)} left too few hits and was undone.`;
  return words(added) ? `Narrowed to ${words(added)} automatically.` : "";
}
