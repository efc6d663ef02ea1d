// The page: one search at a time, stored in the address bar. Every control changes it and sends it again.
import { AddDialog } from "./add.js";
import { EMPTY_SEARCH, hasLook, isSameRequest, isSearch, readAddress, writeAddress } from "./address.js";
import * as api from "./api.js";
import { CropBox } from "./crop.js";
import { debounce, duration, find, h } from "./dom.js";
import { FilterControls, toggle } from "./filters.js";
import { Hits } from "./hits.js";
import { fromText, listenForPictures, prepare, toText } from "./picture.js";
import * as pictureStore from "./picture_store.js";
import { showUnderstanding } from "./query_understanding.js";
import { RegionControls, regionName } from "./regions.js";
import { SearchSession } from "./search_session.js";
import { startStatusStrip } from "./status_strip.js";
import { showVariations } from "./variations.js";
import { WeightControls } from "./weights.js";
import { WordControls } from "./words.js";

const EXAMPLES = 8;
const NOTICE_MS = 8000;
const NO_PICTURE = "data:image/gif;base64,R0lGODlhAQABAAAAACH5BAEKAAEALAAAAAABAAEAAAICTAEAOw=="; // one clear pixel
let search = EMPTY_SEARCH;
let queryKey = null; // the tenant, picture and item of the displayed query picture
let answer = null; // {search, result, ms}: the last result, the search that it answers, and how long that took

const session = new SearchSession();
const hits = new Hits({
  onMore: (id) => change({ ...EMPTY_SEARCH, tenant: search.tenant, filters: search.filters, item: id }),
  onLess: (id) => change({ unlike: [...new Set([...search.unlike, id])] }),
  onEnd: () => attempt(showMore),
});
const crop = new CropBox(debounce((box) => change({ crop: box, region: null }), 150));
const regions = new RegionControls((region) => (region === search.region ? null : change({ region })));
const filters = new FilterControls((chosen) => change({ filters: chosen }));
const words = new WordControls((changes) => change(changes));
const weights = new WeightControls({
  onMove: (chosen) => { hits.rank(chosen); weights.show(null, null); },
  onChange: (chosen) => change({ weights: chosen }),
  onIntent: (intent) => change({ intent, weights: null }),
});

/** Change the search, put it in the address bar, and send it. */
function change(changes) {
  const next = { ...search, ...changes };
  next.unlike = next.unlike.filter((id) => id !== next.item);
  history.pushState(null, "", writeAddress(next));
  attempt(() => show(next));
}

/** Show a search: its query at once, its hits when the answer has come. */
async function show(next) {
  const isOtherRegion = answer !== null && next.region !== search.region && isSameRequest(next, answer.search);
  search = next;
  if (isOtherRegion) return showResult();
  answer = null;
  document.body.dataset.view = isSearch(next) ? "search" : "start";
  busy(isSearch(next));
  words.show(next);
  regions.show([], null);
  showVariations({}, null);
  if (!isSearch(next)) return showExamples();
  find("strict").checked = next.strict;
  find("narrow").checked = next.narrow;
  weights.show(next.weights ? null : next.intent, next.weights);
  filters.show(next.filters);
  for (const part of document.querySelectorAll(".query, .weights")) part.hidden = !hasLook(next);
  const picture = next.picture === null ? null : await pictureStore.load(next.picture);
  if (search !== next) return;
  if (next.picture !== null && picture === null) {
    busy(false);
    throw new api.ApiError(0, "This browser does not have the picture of this link: choose it again.");
  }
  const found = showHits(next, picture); // the request leaves before anything is drawn
  if (hasLook(next)) attempt(() => showQuery(next, picture));
  crop.show(next.crop, next.picture !== null);
  showUnlike();
  attempt(showCounts);
  await found;
}

async function showHits(next, picture) {
  const began = performance.now();
  const onError = (error) => (search === next ? showError(error) : null);
  const result = await session.first(next, picture).catch(onError);
  if (result === null || search !== next) return;
  busy(false);
  answer = { search: next, result, ms: performance.now() - began };
  showResult();
  markPainted(result);
}

/** Show the answer: its hits of the whole picture, or those of the chosen region. */
function showResult() {
  const { result, ms } = answer;
  const region = search.region === null ? null : (result.regions[search.region] ?? null);
  const part = region === null ? result : ofRegion(result, region);
  session.follow(search, region, part.more);
  hits.show(part.hits);
  regions.show(result.regions, region === null ? null : search.region);
  words.explain(result);
  showVariations(result, search.text, (text) => change({ text }));
  showUnderstanding(part, search.filters, (field, value) => filters.onChange(toggle(search.filters, field, value)));
  weights.show(search.weights ? null : search.intent, result.weights ?? null);
  filters.show(search.filters, part.added);
  showSummary(part, ms);
  showNoMatch(part);
}

/** The result of one region, in the form of the result of the whole. */
const ofRegion = (result, region) => ({ ...result, coverage: undefined, added: undefined, relaxed: undefined, ...region });

function busy(on) {
  document.querySelector(".found").ariaBusy = String(on);
}

async function showMore() {
  const result = isSearch(search) ? await session.next() : null;
  if (result === null) return;
  hits.add(result.hits);
  find("summary").firstChild.textContent = countText(result);
}

async function showCounts() {
  const counts = await session.counts(search);
  if (counts !== null) filters.count(counts);
}

async function showQuery({ tenant, picture: name, item }, picture) {
  const key = JSON.stringify([tenant, name, item]);
  if (key === queryKey) return;
  queryKey = key;
  const image = find("query-picture");
  URL.revokeObjectURL(image.src);
  Object.assign(image, { src: NO_PICTURE, alt: "" });
  const stored = item === null ? null : await api.item(tenant, item);
  const src = picture ? URL.createObjectURL(picture) : await api.pictureOf(tenant, item, stored.images[0] ?? 0);
  if (key !== queryKey) return URL.revokeObjectURL(src);
  image.src = src;
  image.alt = stored ? `Item ${stored.title ?? item}` : "Your picture";
  find("query-name").textContent = stored ? (stored.title ?? item) : "";
}

function showUnlike() {
  const chip = (id) => {
    const onclick = () => change({ unlike: search.unlike.filter((each) => each !== id) });
    return h("li", {}, h("button.chip", { type: "button", ariaLabel: `Remove: not like ${id}`, onclick }, `not like ${id} ×`));
  };
  find("unlike").replaceChildren(...search.unlike.map(chip));
}

function countText(result) {
  const place = answer.result.regions[search.region] ? ` for ${regionName(answer.result.regions, search.region)}` : "";
  if (hits.count === 0) return `No match${place}`;
  const noun = search.strict ? ["match", "matches"] : ["hit", "hits"];
  return `${hits.count}${result.more ? "+" : ""} ${hits.count === 1 && !result.more ? noun[0] : noun[1]}${place}`;
}

function showSummary(result, ms) {
  const title = `fetched ${duration(result.times.fetched)}, decoded ${duration(result.times.decoded)}, embedded ${duration(result.times.encoded)}, searched ${duration(result.times.searched)}`;
  find("summary").replaceChildren(countText(result), h("small", { title }, `in ${duration(ms)}`));
}

/** Show an error in place of hits; null, so that the caller has no result. */
function showError(error) {
  busy(false);
  if (!(error instanceof api.ApiError)) throw error;
  hits.show([]);
  find("summary").textContent = "";
  find("understood").hidden = true;
  find("nothing").hidden = false;
  find("nothing").replaceChildren(h("h2", {}, "No answer"), h("p", { role: "alert" }, error.message));
  return null;
}

/** Show that nothing matches, and what the user can do. */
function showNoMatch(result) {
  const area = find("nothing");
  area.hidden = result.hits.length > 0;
  if (!area.hidden) area.replaceChildren(h("h2", {}, "No match"), h("p", {}, noMatchReason(result)), h("p.buttons", {}, ...remedies()));
}

function noMatchReason(result) {
  if (!hasLook(search)) return `${result.message}.`;
  const filtered = Object.keys(search.filters).length > 0;
  if (!search.strict) return filtered ? "No item matches these filters." : "There are no items yet: add one first.";
  const among = filtered ? "No item that matches your filters" : "No item";
  return `${among} is similar enough to count as a match. The nearest items may be unrelated.`;
}

function remedies() {
  const remedy = (label, changes) => h("button", { type: "button", onclick: () => change(changes) }, label);
  return [
    search.strict && hasLook(search) ? remedy("Show the nearest items", { strict: false }) : null,
    Object.keys(search.filters).length ? remedy("Remove the filters", { filters: {} }) : null,
    search.crop || search.region !== null ? remedy("Use the whole picture", { crop: null, region: null }) : null,
  ];
}

let examplesTenant = null;

async function showExamples() {
  if (examplesTenant === search.tenant) return;
  const { tenant } = search;
  const found = await api.items(tenant, EXAMPLES);
  const buttons = await Promise.all(found.map((item) => example(tenant, item)));
  find("examples-list").replaceChildren(...buttons.filter(Boolean));
  find("examples").hidden = buttons.length === 0;
  examplesTenant = tenant;
}

async function example(tenant, item) {
  const src = await api.pictureOf(tenant, item.item_id, item.images[0]).catch(() => null);
  const name = item.title ?? item.item_id;
  const onclick = () => change({ item: item.item_id });
  return src && h("li", {}, h("button", { type: "button", title: name, onclick }, h("img", { src, alt: `Search by ${name}` })));
}

async function choosePicture(file) {
  performance.mark("picture");
  busy(true);
  try {
    change({ picture: await pictureStore.save(await prepare(file)), item: null, crop: null, region: null, unlike: [] });
  } catch (error) {
    busy(false);
    throw error;
  }
}

/** Mark the time when a result is visible, for measurements: the pictures are decoded, and a frame is drawn. */
async function markPainted(result) {
  await Promise.all([...document.querySelectorAll("#hits img")].map((image) => image.decode().catch(() => null)));
  requestAnimationFrame(() => setTimeout(() => performance.mark("painted", { detail: result.times })));
}

/** Copy a link that holds a small copy of the picture, for browsers that do not have it. */
async function copyLink() {
  const picture = search.picture === null ? null : await pictureStore.load(search.picture);
  const address = new URL(location);
  if (picture) address.hash = `picture=${await toText(picture)}`;
  await navigator.clipboard.writeText(address.href);
  find("share").textContent = "Copied";
  setTimeout(() => { find("share").textContent = "Copy link"; }, 2000);
}

/** Show the search of the address bar; store the picture of its link, if it has one. */
async function openAddress() {
  const linked = location.hash.startsWith("#picture=") ? fromText(location.hash.slice(9)) : null;
  const next = readAddress(location.search);
  if (linked && next.picture) {
    next.picture = await pictureStore.save(linked);
    history.replaceState(null, "", writeAddress(next));
  }
  await show(next);
}

let notice;

/** Run a function, and show its error as a notice. */
async function attempt(run) {
  const area = find("notice");
  area.hidden = true;
  try {
    await run();
  } catch (error) {
    console.error(error);
    area.textContent = error instanceof api.ApiError ? error.message : "That did not work because of an error in this page.";
    area.hidden = false;
    clearTimeout(notice);
    notice = setTimeout(() => { area.hidden = true; }, NOTICE_MS);
  }
}

for (const details of document.querySelectorAll(".side details")) details.open = matchMedia("(min-width: 901px)").matches;
listenForPictures((file) => attempt(() => choosePicture(file)));
find("strict").addEventListener("change", (event) => change({ strict: event.target.checked }));
find("narrow").addEventListener("change", (event) => change({ narrow: event.target.checked }));
find("share").addEventListener("click", () => attempt(copyLink));
document.querySelector("[data-start]").addEventListener("click", (event) => {
  event.preventDefault();
  change({ ...EMPTY_SEARCH, tenant: search.tenant });
});
addEventListener("popstate", () => attempt(openAddress));
new AddDialog(() => search.tenant, (id) => change({ ...EMPTY_SEARCH, tenant: search.tenant, item: id }));
startStatusStrip(() => search.tenant);
attempt(openAddress);
