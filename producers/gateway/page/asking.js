// Searches on their way: the newest one counts, older ones are given up.
import * as api from "./api.js";
import { COUNTED } from "./filters.js";

const PAGE = 24;
const LAST_OFFSET = 900; // of schemas/searches.py
const VALUES = 14; // of each facet
const COUNTS_MS = 10_000; // counts are as good as new for so long

/** Asks for the hits of a search, page by page, and for the counts beside it. */
export class Asking {
  #search = new AbortController();
  #facets = new AbortController();
  #asked = null; // {search, picture}
  #counted = { key: null, at: 0 };
  #offset = 0; // of the last page that came
  #more = false;
  #busy = false;

  /** The first page of a search; null when a newer one was begun meanwhile. */
  async first(search, picture) {
    this.#search.abort();
    this.#search = new AbortController();
    this.#asked = { search, picture };
    this.#more = false;
    return this.#page(0);
  }

  /** The page after the last one; null when there is none, or it is on its way. */
  async next() {
    if (!this.#more || this.#busy || this.#offset + PAGE > LAST_OFFSET) return null;
    return this.#page(this.#offset + PAGE);
  }

  async #page(offset) {
    const { signal } = this.#search;
    this.#busy = true;
    try {
      const { search, picture } = this.#asked;
      const result = await api.search(request(search, offset), picture, signal);
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

  /** The counts of each facet under the filters of a search; null when they are known, or newer ones were asked for. */
  async counts({ tenant, filters }) {
    const asked = { tenant, facets: COUNTED, filters, limit: VALUES };
    const key = JSON.stringify(asked);
    if (key === this.#counted.key && performance.now() - this.#counted.at < COUNTS_MS) return null;
    this.#counted = { key, at: performance.now() };
    this.#facets.abort();
    this.#facets = new AbortController();
    const { signal } = this.#facets;
    try {
      return (await api.facets(asked, signal)).counts;
    } catch (error) {
      if (signal.aborted) return null;
      this.#counted = { key: null, at: 0 };
      throw error;
    }
  }
}

/** A search request of the contract (schemas/searches.py); the picture goes beside it. */
function request(search, offset) {
  const by = search.item === null ? {} : { item_id: search.item };
  const how = search.weights ? { weights: search.weights } : { intent: search.intent };
  return {
    ...by,
    ...how,
    tenant: search.tenant,
    unlike: search.unlike,
    ...(search.crop && search.picture ? { crop: search.crop } : {}),
    filters: search.filters,
    strict: search.strict,
    understand: search.narrow ? "auto" : "off",
    top_k: PAGE,
    offset,
    explain: true,
    thumbnails: true,
  };
}
