// The search as an address: opening the address, or going back to it, shows the same search.

/** The state of a search before any input. */
export const EMPTY_SEARCH = Object.freeze({
  tenant: "default", picture: null, item: null, text: null, ignored: [], plain: [], unlike: [], crop: null, region: null, intent: "similar", weights: null,
  filters: {}, strict: true, narrow: false,
});
/** Filters with several values, and their names in the address. */
const LISTS = { category: "category", colours: "colour", brand: "brand", source: "source" };
const PARTS = ["object", "style", "colour"];

/** The search of an address. */
export function readAddress(address) {
  const query = new URLSearchParams(address);
  return {
    ...EMPTY_SEARCH,
    tenant: query.get("tenant") || EMPTY_SEARCH.tenant,
    picture: query.get("picture"),
    item: query.get("item"),
    text: query.get("q") || null,
    ignored: query.getAll("without"),
    plain: query.getAll("plain"),
    unlike: query.getAll("unlike"),
    crop: readNumbers(["x", "y", "w", "h"], query.get("crop")),
    region: readRegion(query.get("thing")),
    intent: query.get("intent") || EMPTY_SEARCH.intent,
    weights: readNumbers(PARTS, query.get("weights")),
    filters: readFilters(query),
    strict: !query.has("all"),
    narrow: query.has("narrow"),
  };
}

/** The address of a search, from its question mark on. */
export function writeAddress(search) {
  const query = new URLSearchParams();
  const put = (name, value) => value !== null && value !== undefined && query.append(name, value);
  if (search.tenant !== EMPTY_SEARCH.tenant) put("tenant", search.tenant);
  put("picture", search.picture);
  put("item", search.item);
  put("q", search.text);
  search.ignored.forEach((word) => put("without", word));
  search.plain.forEach((word) => put("plain", word));
  search.unlike.forEach((id) => put("unlike", id));
  if (search.crop) put("crop", Object.values(search.crop).map(round).join());
  if (search.region !== null) put("thing", search.region + 1);
  if (search.weights) put("weights", PARTS.map((part) => round(search.weights[part])).join());
  else if (search.intent !== EMPTY_SEARCH.intent) put("intent", search.intent);
  for (const [field, name] of Object.entries(LISTS)) search.filters[field]?.forEach((value) => put(name, value));
  for (const name of ["in_stock", "price_min", "price_max", "currency"]) put(name, search.filters[name]);
  if (!search.strict) put("all", "");
  if (search.narrow) put("narrow", "");
  return `?${String(query).replaceAll("%2C", ",").replaceAll("%7E", "~")}`;
}

/** Whether the search has a picture or an item. */
export const hasLook = (search) => search.picture !== null || search.item !== null;

/** Whether the search has anything to search by. */
export const isSearch = (search) => hasLook(search) || search.text !== null;

/** Whether two searches send the same request: they differ at most in the region that is shown. */
export const isSameRequest = (one, other) => writeAddress({ ...one, region: null }) === writeAddress({ ...other, region: null });

const round = (number) => +number.toFixed(3);

/** The number of a region, from 0; in the address they count from 1, as on the picture. */
const readRegion = (text) => (/^[1-9]$/.test(text ?? "") ? Number(text) - 1 : null);

function readNumbers(names, text) {
  const numbers = text?.split(",").map(Number) ?? [];
  if (numbers.length !== names.length || numbers.some(Number.isNaN)) return null;
  return Object.fromEntries(names.map((name, n) => [name, numbers[n]]));
}

function readFilters(query) {
  const filters = {};
  for (const [field, name] of Object.entries(LISTS)) {
    if (query.has(name)) filters[field] = query.getAll(name);
  }
  if (query.has("in_stock")) filters.in_stock = query.get("in_stock") === "true";
  for (const name of ["price_min", "price_max"]) {
    if (query.has(name) && !Number.isNaN(Number(query.get(name)))) filters[name] = Number(query.get(name));
  }
  if (query.has("currency")) filters.currency = query.get("currency");
  return filters;
}
