// The search in the address bar: whoever opens the address, or goes back, sees the same search.

/** What is searched by, and how. */
export const NOTHING = Object.freeze({
  tenant: "default", picture: null, item: null, unlike: [], crop: null, intent: "similar", weights: null,
  filters: {}, strict: true, narrow: false,
});
/** Filters with several values, and what they are called in the address. */
const LISTS = { category: "category", colours: "colour", brand: "brand", source: "source" };
const PARTS = ["object", "style", "colour"];

/** The search that an address asks for. */
export function read(address) {
  const query = new URLSearchParams(address);
  return {
    ...NOTHING,
    tenant: query.get("tenant") || NOTHING.tenant,
    picture: query.get("picture"),
    item: query.get("item"),
    unlike: query.getAll("unlike"),
    crop: named(["x", "y", "w", "h"], query.get("crop")),
    intent: query.get("intent") || NOTHING.intent,
    weights: named(PARTS, query.get("weights")),
    filters: filtersIn(query),
    strict: !query.has("all"),
    narrow: query.has("narrow"),
  };
}

/** The address of a search, from its question mark on. */
export function write(search) {
  const query = new URLSearchParams();
  const put = (name, value) => value !== null && value !== undefined && query.append(name, value);
  if (search.tenant !== NOTHING.tenant) put("tenant", search.tenant);
  put("picture", search.picture);
  put("item", search.item);
  search.unlike.forEach((id) => put("unlike", id));
  if (search.crop) put("crop", Object.values(search.crop).map(short).join());
  if (search.weights) put("weights", PARTS.map((part) => short(search.weights[part])).join());
  else if (search.intent !== NOTHING.intent) put("intent", search.intent);
  for (const [field, name] of Object.entries(LISTS)) search.filters[field]?.forEach((value) => put(name, value));
  for (const name of ["in_stock", "price_min", "price_max", "currency"]) put(name, search.filters[name]);
  if (!search.strict) put("all", "");
  if (search.narrow) put("narrow", "");
  return `?${String(query).replaceAll("%2C", ",").replaceAll("%7E", "~")}`;
}

/** Whether there is anything to search by. */
export const isSearch = (search) => search.picture !== null || search.item !== null;

const short = (number) => +number.toFixed(3);

function named(names, text) {
  const numbers = text?.split(",").map(Number) ?? [];
  if (numbers.length !== names.length || numbers.some(Number.isNaN)) return null;
  return Object.fromEntries(names.map((name, n) => [name, numbers[n]]));
}

function filtersIn(query) {
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
