// Searches on their way: the newest one counts, older ones are given up.
import * as api from "./api.js";
import { COUNTED, lowered } from "./filters.js";

const PAGE = 24;
const LAST_OFFSET = 900; // of schemas/searches.py
const VALUES = 14; // of each facet

/** Asks for the hits of a search, page by page, and for the counts beside it. */
export class Asking {
  #search = new AbortController();
  #facets = new AbortController();
  #search_ = null;
  #offset = 0;
  #more = false;
  #busy = false;

  /** The first page of a search; null when a newer one was begun meanwhile. */
  async first(search, picture) {
    this.#search.abort();
    this.#search = new AbortController();
    this.#search_ = { search, picture };
    this.#offset = 0;
    return this.#page(this.#search.signal);
  }

  /** The page after the last one; null when there is none, or it is on its way. */
  async next() {
    if (!this.#more || this.#busy || this.#offset + PAGE > LAST_OFFSET) return null;
    this.#offset += PAGE;
    return this.#page(this.#search.signal);
  }

  async #page(signal) {
    this.#busy = true;
    try {
      const { search, picture } = this.#search_;
      const result = await api.search(request(search, this.#offset), picture, signal);
      if (signal.aborted) return null;
      this.#more = result.more;
      return result;
    } catch (error) {
      if (error.name === "AbortError" || signal.aborted) return null;
      throw error;
    } finally {
      if (!signal.aborted) this.#busy = false;
    }
  }

  /** The counts of each facet under the filters of a search; null when newer ones were asked for meanwhile. */
  async counts({ tenant, filters }) {
    this.#facets.abort();
    this.#facets = new AbortController();
    const asked = { tenant, facets: COUNTED, filters: lowered(filters), limit: VALUES };
    try {
      return (await api.facets(asked, this.#facets.signal)).counts;
    } catch (error) {
      if (error.name === "AbortError") return null;
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
    filters: lowered(search.filters),
    strict: search.strict,
    understand: search.narrow ? "auto" : "off",
    top_k: PAGE,
    offset,
    explain: true,
    thumbnails: true,
  };
}
