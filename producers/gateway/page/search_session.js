// The search in progress: a new search aborts the one before.
import { hasLook } from "./address.js";
import * as api from "./api.js";
import { COUNTED } from "./filters.js";

const PAGE = 24;
const LAST_OFFSET = 900; // the largest offset that schemas/searches.py allows
const VALUES = 14; // counted values of each facet
const COUNTS_MS = 10_000; // counts are not requested again within this time

/** Requests the hits of a search, page by page, and the counts of its facets. */
export class SearchSession {
  #search = new AbortController();
  #facets = new AbortController();
  #current = null; // {search, picture}: what further pages are of
  #counted = { key: null, at: 0 };
  #offset = 0; // of the last page received
  #more = false;
  #busy = false;

  /** The first page of a search; null when a newer search has begun meanwhile. */
  async first(search, picture) {
    this.#search.abort();
    this.#search = new AbortController();
    this.#current = { search, picture };
    this.#more = false;
    return this.#page(0);
  }

  /** Set of which part of the picture further pages are, a region or (null) the whole; `more` says whether there are any. */
  follow(search, region, more) {
    this.#search.abort();
    this.#search = new AbortController();
    this.#current = { ...this.#current, search: region === null ? search : { ...search, crop: region.box } };
    this.#offset = 0;
    this.#more = more;
    this.#busy = false;
  }

  /** The next page; null when there is none, or it is already requested. */
  async next() {
    if (!this.#more || this.#busy || this.#offset + PAGE > LAST_OFFSET) return null;
    return this.#page(this.#offset + PAGE);
  }

  async #page(offset) {
    const { signal } = this.#search;
    this.#busy = true;
    try {
      const { search, picture } = this.#current;
      const result = await api.search(searchRequest(search, offset), picture, signal);
      if (signal.aborted) return null;
      this.#offset = offset;
      this.#more = result.more;
      return result;
    } catch (error) {
      if (error.name === "AbortError" || signal.aborted) return null;
      throw error;
    } finally {
      if (!signal.aborted) this.#busy = false;
    }
  }

  /** The counts of each facet under the filters of a search; null when they are current, or newer ones were requested. */
  async counts({ tenant, filters }) {
    const facetsRequest = { tenant, facets: COUNTED, filters, limit: VALUES };
    const key = JSON.stringify(facetsRequest);
    if (key === this.#counted.key && performance.now() - this.#counted.at < COUNTS_MS) return null;
    this.#counted = { key, at: performance.now() };
    this.#facets.abort();
    this.#facets = new AbortController();
    const { signal } = this.#facets;
    try {
      return (await api.facets(facetsRequest, signal)).counts;
    } catch (error) {
      if (signal.aborted) return null;
      this.#counted = { key: null, at: 0 };
      throw error;
    }
  }
}

/** A search request by schemas/searches.py, without the picture. */
function searchRequest(search, offset) {
  const source = search.item === null ? {} : { item_id: search.item };
  const ranking = search.weights ? { weights: search.weights } : { intent: search.intent };
  return {
    ...source,
    ...ranking,
    ...(search.text ? { text: search.text, ignore_words: search.ignored, plain_words: search.plain } : {}),
    tenant: search.tenant,
    unlike: hasLook(search) ? search.unlike : [],
    ...(search.crop && search.picture ? { crop: search.crop } : {}),
    variations: search.item !== null && offset === 0,
    objects: search.picture && !search.crop && offset === 0 ? "auto" : "none",
    filters: search.filters,
    strict: search.strict,
    understand: search.narrow ? "auto" : "off",
    top_k: PAGE,
    offset,
    explain: true,
    thumbnails: true,
  };
}
