// Words of a search: the search box, and a chip for each word that says how it was read. A click undoes that, or has a
// word that was read as a fact read as a plain word, which is only matched to the texts of items.
import { find, h } from "./dom.js";

const KINDS = {
  category: "category", colour: "colour", brand: "brand", creator: "creator", tag: "tag", attribute: "attribute",
  pattern: "pattern", price: "price", word: "in the text", meaning: "by its meaning", unknown: "not understood",
};
const REASONS = { too_few_hits: "nothing would be left", not_indexed: "not in the index yet" };

/** The box and the chips; `onChange` is called with the changes of the search. */
export class WordControls {
  #search = null;

  constructor(onChange) {
    this.onChange = onChange;
    find("words-form").addEventListener("submit", (event) => {
      event.preventDefault();
      const text = find("words-text").value.trim();
      onChange({ text: text || null, ignored: [], plain: [] });
    });
  }

  /** Show the text of a search, without chips as long as there is no result. */
  show(search) {
    this.#search = search;
    find("words-text").value = search.text ?? "";
    find("words").replaceChildren();
  }

  /** Show how the words of a result were read. */
  explain({ understood = [] }) {
    find("words").replaceChildren(...understood.map((word) => h("li", {}, this.#chip(word), this.#plainChip(word))));
  }

  #chip(word) {
    const isIgnored = word.reason === "ignored";
    const label = `${word.negated ? "not " : ""}${word.text}: ${isIgnored ? "left out" : reading(word)}`;
    if (word.kind === "unknown" && !isIgnored) return h("span.button.chip", { title: word.corrected ?? "" }, label);
    const action = isIgnored ? "Use this word again" : "Leave this word out";
    const properties = { type: "button", ariaPressed: String(!isIgnored), title: action, ariaLabel: `${action}: ${label}` };
    return h("button.chip", { ...properties, onclick: () => this.#toggle("ignored", word.text) }, label, isIgnored ? " +" : " ×");
  }

  /** The button that has a word read as a plain word, or as a fact again; null for words that are no facts. */
  #plainChip({ text, kind, reason }) {
    const isPlain = this.#search.plain.includes(text);
    if (reason === "ignored" || (["word", "unknown"].includes(kind) && !isPlain)) return null;
    const label = `Read as a plain word: ${text}`;
    const properties = { type: "button", ariaPressed: String(isPlain), title: "Read as a plain word", ariaLabel: label };
    return h("button.chip", { ...properties, onclick: () => this.#toggle("plain", text) }, "\u201c\u00a0\u201d");
  }

  #toggle(list, text) {
    const chosen = this.#search[list];
    this.onChange({ [list]: chosen.includes(text) ? chosen.filter((each) => each !== text) : [...chosen, text] });
  }
}

function reading({ kind, values, corrected, reason }) {
  const value = kind === "price" ? ` ${values[0]}` : "";
  const notes = [corrected && `read as ${corrected}`, REASONS[reason]].filter(Boolean);
  return `${KINDS[kind]}${value}${notes.length ? ` (${notes.join(", ")})` : ""}`;
}
