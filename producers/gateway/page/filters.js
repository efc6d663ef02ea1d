// Filter controls: chips with counts, a price range, and chips of the active filters.
import { find, h } from "./dom.js";

/** CSS colours of the named colours (schemas/filters.py). */
export const COLOURS = {
  black: "#161616", white: "#ffffff", grey: "#8c8c8c", red: "#cf2a27", orange: "#ef7f1a", yellow: "#f5d327", green: "#2f8f3e",
  teal: "#138a8a", blue: "#2b62d9", navy: "#1c2a5e", purple: "#7a3fb0", pink: "#f08bb4", brown: "#7b4f2a", beige: "#dccbaa",
};
const FACETS = { category: "Category", colours: "Colour", brand: "Brand", source: "Source", in_stock: "In stock" };
const LISTS = ["category", "colours", "brand", "source"];
const SOURCES = { catalog: "Catalogue", social: "Social posts" };
const STOCK = { true: "Available", false: "Sold out" };

const valueText = (field, value) => ({ source: SOURCES, in_stock: STOCK })[field]?.[value] ?? value;

/** The fields that are counted for the chips. */
export const COUNTED = [...Object.keys(FACETS), "currency"];

/** Filters with a value added, or removed if it is already there. */
export function toggle(filters, field, value) {
  if (!LISTS.includes(field)) return withField(filters, field, String(filters[field]) === String(value) ? null : value);
  const chosen = filters[field] ?? [];
  const rest = chosen.filter((each) => each !== value);
  return withField(filters, field, rest.length < chosen.length ? rest : [...chosen, value]);
}

/** Filters with a new value of a field; null or an empty value removes the field. */
export function withField(filters, field, value) {
  const { [field]: _, ...others } = filters;
  const isEmpty = value === null || value.length === 0;
  return isEmpty ? others : { ...others, [field]: value };
}

/** The controls of filters; `onChange` is called with the new filters. */
export class FilterControls {
  #filters = {};

  constructor(onChange) {
    this.onChange = onChange;
    find("filters-clear").addEventListener("click", () => onChange({}));
    for (const id of ["price-min", "price-max", "price-currency"]) find(id).addEventListener("change", () => this.#price());
  }

  /** Show the active filters, and those that query understanding added. */
  show(filters, added) {
    this.#filters = filters;
    find("price-min").value = filters.price_min ?? "";
    find("price-max").value = filters.price_max ?? "";
    if (filters.currency) this.#currencies([filters.currency]);
    const chips = [...entries(filters).map(([field, value]) => this.#activeChip(field, value)), ...entries(added ?? {}).map(addedChip)];
    find("chosen").replaceChildren(...chips.map((chip) => h("li", {}, chip)));
    const count = entries(filters).length;
    find("filter-count").textContent = count || "";
    find("filters-clear").hidden = count === 0;
    for (const chip of find("facets").querySelectorAll("[data-field]")) chip.ariaPressed = String(this.#has(chip.dataset));
  }

  /** Show the counts of a facets response. */
  count(counts) {
    const present = Object.keys(FACETS).filter((field) => counts[field]?.length);
    find("facets").replaceChildren(...present.map((field) => this.#facet(field, counts[field])));
    this.#currencies((counts.currency ?? []).map(({ value }) => value));
    document.querySelector(".price").hidden = !counts.currency?.length;
  }

  #facet(field, counts) {
    const chips = counts.map(({ value, count }) => h("li", {}, this.#chip(field, value, count)));
    return h("section.facet", {}, h("h2", {}, FACETS[field]), h("ul.chips", {}, ...chips));
  }

  #chip(field, value, count) {
    const onclick = () => this.onChange(toggle(this.#filters, field, field === "in_stock" ? value === "true" : value));
    const pressed = String(this.#has({ field, value }));
    const dot = COLOURS[value] && field === "colours" ? h("span.dot", { "--swatch": COLOURS[value] }) : null;
    const properties = { type: "button", onclick, ariaPressed: pressed, "data-field": field, "data-value": value };
    return h("button.chip", properties, dot, valueText(field, value), " ", h("i", {}, String(count)));
  }

  #has({ field, value }) {
    const chosen = this.#filters[field];
    return LISTS.includes(field) ? (chosen ?? []).includes(value) : String(chosen) === value;
  }

  #activeChip(field, value) {
    const onclick = () => this.onChange(toggle(this.#filters, field, value));
    const label = filterText(field, value);
    return h("button.chip", { type: "button", ariaPressed: "true", ariaLabel: `Remove filter: ${label}`, onclick }, label, " ×");
  }

  #currencies(found) {
    const select = find("price-currency");
    const chosen = this.#filters.currency ?? found[0];
    const all = [...new Set([chosen, ...found])].filter(Boolean);
    select.replaceChildren(...all.map((each) => h("option", { value: each }, each)));
    select.value = chosen ?? "";
  }

  #price() {
    const number = (id) => {
      const value = Number.parseFloat(find(id).value.replace(",", "."));
      return value >= 0 ? value : null;
    };
    const [low, high] = [number("price-min"), number("price-max")];
    const swapped = low !== null && high !== null && low > high;
    let filters = withField(this.#filters, "price_min", swapped ? high : low);
    filters = withField(filters, "price_max", swapped ? low : high);
    const currency = low === null && high === null ? null : find("price-currency").value;
    this.onChange(withField(filters, "currency", currency));
  }
}

function entries(filters) {
  return Object.entries(filters)
    .filter(([field, value]) => field !== "currency" && value !== null && value.length !== 0)
    .flatMap(([field, value]) => (LISTS.includes(field) ? value.map((each) => [field, each]) : [[field, value]]));
}

function filterText(field, value) {
  const words = { price_min: `from ${value}`, price_max: `up to ${value}` };
  return words[field] ?? valueText(field, String(value));
}

const addedChip = ([field, value]) => h("span.button.chip", { title: "added by query understanding" }, `${filterText(field, value)} (automatic)`);
