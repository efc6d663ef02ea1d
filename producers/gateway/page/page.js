// The page: one search at a time, in the address bar; every control changes it, and it is asked anew.
import { AddDialog } from "./add.js";
import * as api from "./api.js";
import { Asking } from "./asking.js";
import { CropBox } from "./crop.js";
import { duration, find, h, settled } from "./dom.js";
import { FilterControls, toggled } from "./filters.js";
import { Hits } from "./hits.js";
import { fromText, prepare, toText, watchForPictures } from "./picture.js";
import { isSearch, NOTHING, read, write } from "./place.js";
import * as shelf from "./shelf.js";
import { keepStrip } from "./strip.js";
import { showUnderstood } from "./understood.js";
import { WeightControls } from "./weights.js";

const EXAMPLES = 8;
const NOTICE_MS = 8000;
const NO_PICTURE = "data:image/gif;base64,R0lGODlhAQABAAAAACH5BAEKAAEALAAAAAABAAEAAAICTAEAOw=="; // one clear pixel
let search = NOTHING;
let shown = null; // the tenant, picture and item that the query's picture is of

const asking = new Asking();
const hits = new Hits({
  onMore: (id) => change({ ...NOTHING, tenant: search.tenant, filters: search.filters, item: id }),
  onLess: (id) => change({ unlike: [...new Set([...search.unlike, id])] }),
  onEnd: () => attempt(showMore),
});
const crop = new CropBox(settled((box) => change({ crop: box }), 150));
const filters = new FilterControls((chosen) => change({ filters: chosen }));
const weights = new WeightControls({
  moving: (chosen) => { hits.rank(chosen); weights.show(null, null); },
  settled: (chosen) => change({ weights: chosen }),
  named: (intent) => change({ intent, weights: null }),
});

/** Change the search, put it in the address bar, and ask anew. */
function change(changes) {
  const next = { ...search, ...changes };
  next.unlike = next.unlike.filter((id) => id !== next.item);
  history.pushState(null, "", write(next));
  attempt(() => show(next));
}

/** Show a search: what it is by at once, what it finds when that has come. */
async function show(next) {
  search = next;
  document.body.dataset.view = isSearch(next) ? "search" : "start";
  busy(isSearch(next));
  if (!isSearch(next)) return showExamples();
  find("strict").checked = next.strict;
  find("narrow").checked = next.narrow;
  weights.show(next.weights ? null : next.intent, next.weights);
  filters.show(next.filters);
  const picture = next.picture === null ? null : await shelf.get(next.picture);
  if (search !== next) return;
  if (next.picture !== null && picture === null) {
    busy(false);
    throw new api.Refused(0, "This browser does not have the picture of this link: choose it again.");
  }
  const found = showHits(next, picture); // on its way before anything is drawn
  attempt(() => showQuery(next, picture));
  crop.show(next.crop, next.picture !== null);
  showUnlike();
  attempt(showCounts);
  await found;
}

async function showHits(next, picture) {
  const began = performance.now();
  const refused = (error) => (search === next ? showRefusal(error) : null);
  const result = await asking.first(next, picture).catch(refused);
  if (result === null || search !== next) return;
  busy(false);
  hits.show(result.hits);
  showUnderstood(result, search.filters, (field, value) => filters.changed(toggled(search.filters, field, value)));
  weights.show(search.weights ? null : search.intent, result.weights);
  filters.show(search.filters, result.added);
  showSummary(result, performance.now() - began);
  showNothing(result);
  markPainted(result);
}

function busy(on) {
  document.querySelector(".found").ariaBusy = String(on);
}

async function showMore() {
  const result = isSearch(search) ? await asking.next() : null;
  if (result === null) return;
  hits.add(result.hits);
  find("summary").firstChild.textContent = counted(result);
}

async function showCounts() {
  const counts = await asking.counts(search);
  if (counts !== null) filters.count(counts);
}

async function showQuery({ tenant, picture: name, item }, picture) {
  const key = JSON.stringify([tenant, name, item]);
  if (key === shown) return;
  shown = key;
  const image = find("query-picture");
  URL.revokeObjectURL(image.src);
  Object.assign(image, { src: NO_PICTURE, alt: "" });
  const told = item === null ? null : await api.item(tenant, item);
  const src = picture ? URL.createObjectURL(picture) : await api.pictureOf(tenant, item, told.images[0] ?? 0);
  if (key !== shown) return URL.revokeObjectURL(src);
  image.src = src;
  image.alt = told ? `Item ${told.title ?? item}` : "Your picture";
  find("query-name").textContent = told ? (told.title ?? item) : "";
}

function showUnlike() {
  const chip = (id) => {
    const onclick = () => change({ unlike: search.unlike.filter((each) => each !== id) });
    return h("li", {}, h("button.chip", { type: "button", ariaLabel: `Remove: not like ${id}`, onclick }, `not like ${id} ×`));
  };
  find("unlike").replaceChildren(...search.unlike.map(chip));
}

function counted(result) {
  if (hits.count === 0) return "No match";
  const noun = search.strict ? ["match", "matches"] : ["hit", "hits"];
  return `${hits.count}${result.more ? "+" : ""} ${hits.count === 1 && !result.more ? noun[0] : noun[1]}`;
}

function showSummary(result, ms) {
  const title = `fetched ${duration(result.times.fetched)}, decoded ${duration(result.times.decoded)}, embedded ${duration(result.times.encoded)}, searched ${duration(result.times.searched)}`;
  find("summary").replaceChildren(counted(result), h("small", { title }, `in ${duration(ms)}`));
}

/** Instead of hits: why there is no answer; null, as of a search that found none. */
function showRefusal(error) {
  busy(false);
  if (!(error instanceof api.Refused)) throw error;
  hits.show([]);
  find("summary").textContent = "";
  find("understood").hidden = true;
  find("nothing").hidden = false;
  find("nothing").replaceChildren(h("h2", {}, "No answer"), h("p", { role: "alert" }, error.message));
  return null;
}

/** The honest empty state: that nothing matches, and what can be done about it. */
function showNothing(result) {
  const area = find("nothing");
  area.hidden = result.hits.length > 0;
  if (!area.hidden) area.replaceChildren(h("h2", {}, "No match"), h("p", {}, whyNothing()), h("p.buttons", {}, ...waysOut()));
}

function whyNothing() {
  const filtered = Object.keys(search.filters).length > 0;
  if (!search.strict) return filtered ? "No item matches these filters." : "There are no items yet: add one first.";
  const among = filtered ? "No item that matches your filters" : "No item";
  return `${among} is similar enough to count as a match. The nearest items may be unrelated.`;
}

function waysOut() {
  const way = (label, changes) => h("button", { type: "button", onclick: () => change(changes) }, label);
  return [
    search.strict ? way("Show the nearest items", { strict: false }) : null,
    Object.keys(search.filters).length ? way("Remove the filters", { filters: {} }) : null,
    search.crop ? way("Use the whole picture", { crop: null }) : null,
  ];
}

let examplesOf = null;

async function showExamples() {
  if (examplesOf === search.tenant) return;
  const { tenant } = search;
  const found = await api.items(tenant, EXAMPLES);
  const buttons = await Promise.all(found.map((item) => example(tenant, item)));
  find("examples-list").replaceChildren(...buttons.filter(Boolean));
  find("examples").hidden = buttons.length === 0;
  examplesOf = tenant;
}

async function example(tenant, item) {
  const src = await api.pictureOf(tenant, item.item_id, item.images[0]).catch(() => null);
  const name = item.title ?? item.item_id;
  const onclick = () => change({ item: item.item_id });
  return src && h("li", {}, h("button", { type: "button", title: name, onclick }, h("img", { src, alt: `Search by ${name}` })));
}

async function take(file) {
  performance.mark("picture");
  busy(true);
  try {
    change({ picture: await shelf.keep(await prepare(file)), item: null, crop: null, unlike: [] });
  } catch (error) {
    busy(false);
    throw error;
  }
}

/** Marks when a result can be seen, for whoever measures: once the pictures are decoded, and a frame is drawn. */
async function markPainted(result) {
  await Promise.all([...document.querySelectorAll("#hits img")].map((image) => image.decode().catch(() => null)));
  requestAnimationFrame(() => setTimeout(() => performance.mark("painted", { detail: result.times })));
}

/** A link that has the picture in it, small, for whoever has not got it. */
async function copyLink() {
  const picture = search.picture === null ? null : await shelf.get(search.picture);
  const address = new URL(location);
  if (picture) address.hash = `picture=${await toText(picture)}`;
  await navigator.clipboard.writeText(address.href);
  find("share").textContent = "Copied";
  setTimeout(() => { find("share").textContent = "Copy link"; }, 2000);
}

/** The search of the address bar; a picture in it goes onto the shelf. */
async function arrive() {
  const carried = location.hash.startsWith("#picture=") ? fromText(location.hash.slice(9)) : null;
  const next = read(location.search);
  if (carried && next.picture) {
    next.picture = await shelf.keep(carried);
    history.replaceState(null, "", write(next));
  }
  await show(next);
}

let notice;

/** Run something, and say what goes wrong with it. */
async function attempt(run) {
  const area = find("notice");
  area.hidden = true;
  try {
    await run();
  } catch (error) {
    console.error(error);
    area.textContent = error instanceof api.Refused ? error.message : "That did not work because of an error in this page.";
    area.hidden = false;
    clearTimeout(notice);
    notice = setTimeout(() => { area.hidden = true; }, NOTICE_MS);
  }
}

for (const details of document.querySelectorAll(".side details")) details.open = matchMedia("(min-width: 901px)").matches;
watchForPictures((file) => attempt(() => take(file)));
find("strict").addEventListener("change", (event) => change({ strict: event.target.checked }));
find("narrow").addEventListener("change", (event) => change({ narrow: event.target.checked }));
find("share").addEventListener("click", () => attempt(copyLink));
document.querySelector("[data-start]").addEventListener("click", (event) => {
  event.preventDefault();
  change({ ...NOTHING, tenant: search.tenant });
});
addEventListener("popstate", () => attempt(arrive));
new AddDialog(() => search.tenant, (id) => change({ ...NOTHING, tenant: search.tenant, item: id }));
keepStrip(() => search.tenant);
attempt(arrive);
