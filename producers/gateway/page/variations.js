// Variations of a search by an item, "more like this, but red": chips for how its neighbours differ from it.
import { COLOURS } from "./filters.js";
import { find, h } from "./dom.js";

/** Show the variations of a result; `choose` is called with the text of the search that asks for one of them. */
export function showVariations({ variations = [] }, text, choose) {
  const start = text === null ? 0 : text.length + 2; // the words behind those that are asked for already, and ", "
  find("variations").replaceChildren(...variations.map((each) => h("li", {}, chip(each, each.text.slice(start), choose))));
  find("variations-line").hidden = variations.length === 0;
}

function chip({ kind, value, text, count }, words, choose) {
  const dot = kind === "colour" ? h("span.dot", { "--swatch": COLOURS[value] }) : null;
  const title = kind === "price" ? value : kind;
  const ariaLabel = `More like this, but ${words}: ${kind}, ${count} ${count === 1 ? "item" : "items"}`;
  const properties = { type: "button", title, ariaLabel, "data-kind": kind, onclick: () => choose(text) };
  return h("button.chip", properties, dot, words, h("i", {}, String(count)));
}
