// The grid of hits: cards in order of score, reordered at once when the weights change.
import { find, h, icon, percent } from "./dom.js";
import { PARTS, score } from "./weights.js";

const SURE = 0.8;
const HALF = 0.5;
const MORE = "M11 19a8 8 0 1 0 0-16 8 8 0 0 0 0 16ZM21 21l-4.3-4.3M11 8v6M8 11h6";
const LESS = "M11 19a8 8 0 1 0 0-16 8 8 0 0 0 0 16ZM21 21l-4.3-4.3M8 11h6";
const OUT = "M14 4h6v6M20 4l-9 9M18 14v5a1 1 0 0 1-1 1H5a1 1 0 0 1-1-1V7a1 1 0 0 1 1-1h5";

/** Shows hits; `onMore` and `onLess` get the item id of a hit, `onEnd` is called when the end of the list is near. */
export class Hits {
  #list = find("hits");
  #cards = []; // {hit, card}, in the order shown

  constructor({ onMore, onLess, onEnd }) {
    this.onMore = onMore;
    this.onLess = onLess;
    new IntersectionObserver(([end]) => end.isIntersecting && onEnd(), { rootMargin: "600px" }).observe(find("more"));
  }

  get count() {
    return this.#cards.length;
  }

  /** Replace all hits. */
  show(hits) {
    this.#cards = [];
    this.#list.replaceChildren();
    this.add(hits);
  }

  /** Append hits. */
  add(hits) {
    const known = new Set(this.#cards.map(({ hit }) => hit.item_id)); // if the index changes between two pages, a hit may come twice
    const cards = hits.filter((hit) => !known.has(hit.item_id)).map((hit) => ({ hit, card: this.#card(hit) }));
    this.#cards.push(...cards);
    this.#layOut();
  }

  /** Sort the hits by their scores under other weights. */
  rank(weights) {
    const value = ({ hit }) => score(hit, weights) + hit.boost;
    this.#cards.sort((one, other) => value(other) - value(one));
    this.#layOut();
  }

  #layOut() {
    const below = this.#cards.findLastIndex(({ hit }) => hit.confidence > 0) + 1;
    const cards = this.#cards.map(({ card }) => card);
    if (below < cards.length) cards.splice(below, 0, divider(below));
    this.#list.replaceChildren(...cards);
  }

  #card(hit) {
    const title = hit.title ?? hit.item_id;
    const reasonBox = h("div.why", { id: `why-${crypto.getRandomValues(new Uint32Array(2)).join("-")}` }, ...reasons(hit));
    const onclick = () => (reasonBox.closest(".open") ? null : this.onMore(hit.item_id)); // as the button More like this
    const face = h("div.face", { onclick }, picture(hit, title), confidenceBadge(hit), reasonBox);
    const caption = h("div.caption", {}, h("b", {}, title), h("span", {}, facts(hit)));
    return h(`li.card${hit.confidence > 0 ? "" : ".nearest"}`, { "data-item": hit.item_id }, face, caption, this.#actions(hit, title, reasonBox));
  }

  #actions(hit, title, reasonBox) {
    const action = (label, path, run) =>
      h("button", { type: "button", title: label, ariaLabel: `${label}: ${title}`, onclick: run }, icon(path));
    const whyButton = h("button.last", { type: "button", ariaExpanded: "false", "aria-controls": reasonBox.id }, "Why");
    whyButton.onclick = () => {
      whyButton.ariaExpanded = String(whyButton.closest(".card").classList.toggle("open"));
    };
    const more = action("More like this", MORE, () => this.onMore(hit.item_id));
    const less = action("Not like this", LESS, () => this.onLess(hit.item_id));
    return h("div.actions", {}, more, less, pageLink(hit, title), whyButton);
  }
}

const divider = (hasMatches) =>
  h("li.line-below", {}, hasMatches ? "The following items are the nearest, but not matches" : "None of these is a match; they are the nearest items");

function picture(hit, title) {
  if (!hit.thumbnail) return h("span.small", {}, "no thumbnail");
  const src = `data:image/jpeg;base64,${hit.thumbnail.replaceAll("-", "+").replaceAll("_", "/")}`;
  return h("img", { src, alt: title, width: 160, height: 160 });
}

function confidenceBadge(hit) {
  const level = hit.confidence >= SURE ? "sure" : hit.confidence >= HALF ? "half" : "low";
  const text = hit.confidence > 0 ? percent(hit.confidence) : "no match";
  return h("span.confidence", { "data-level": level, title: `confidence; score ${hit.score.toFixed(3)}` }, text);
}

function facts(hit) {
  const price = hit.price === undefined ? null : money(hit.price, hit.currency);
  const maker = hit.brand ?? hit.creator;
  const stock = hit.in_stock === false ? "sold out" : null;
  return [maker, price, stock].filter(Boolean).join(" · ") || hit.category || hit.source;
}

function money(price, currency) {
  try {
    return new Intl.NumberFormat(undefined, { style: "currency", currency }).format(price);
  } catch {
    return `${price} ${currency ?? ""}`; // a currency that the browser does not know
  }
}

/** A link to the item's own page, http or https only, without a referrer. */
function pageLink(hit, title) {
  if (!/^https?:\/\//i.test(hit.url ?? "")) return null;
  const label = `Open the page of ${title}`;
  return h("a", { href: hit.url, target: "_blank", rel: "noopener noreferrer", title: label, ariaLabel: label }, icon(OUT));
}

function reasons(hit) {
  const bars = Object.entries(PARTS).map(([part, label]) => bar(label, hit.explained?.[part] ?? 0));
  const swatches = hit.palette.map((each) => h("i", { "--swatch": each.hex, "--share": each.share, title: `${each.name}, ${percent(each.share)}` }));
  const which = hit.image > 0 ? `Its picture ${hit.image + 1} matched` : "Its main picture matched";
  const kind = hit.category ? `${hit.category}${hit.category_confidence ? `, predicted (${percent(hit.category_confidence)})` : ""}` : null;
  return [
    ...bars,
    h("div.strips", { role: "img", ariaLabel: `Its colours: ${hit.palette.map((each) => each.name).join(", ")}` }, ...swatches),
    h("span", {}, `${which} · score ${hit.score.toFixed(3)}`),
    kind && h("span", {}, kind),
    agreement(hit),
  ].filter(Boolean);
}

/** The probability that the hit is the item of the picture, and the number of matching keypoints. */
function agreement({ same_item: likelihood, explained }) {
  const item = likelihood === undefined ? null : `the very item: ${percent(likelihood)}`;
  const points = explained?.matches ? `${explained.matches.length} points agree` : null;
  const text = [item, points].filter(Boolean).join(" · ");
  return text && h("span", {}, text);
}

function bar(label, cosine) {
  const share = `${Math.max(0, Math.min(1, cosine)) * 100}%`;
  return h("div.part", {}, h("span", {}, label), h("i", { "--share": share }), h("em", {}, cosine.toFixed(2)));
}
