/** A typed client of the gateway, for servers and browsers. The types are generated: schema.ts. */
import type { components } from "./schema.js";

type Schemas = components["schemas"];
export type SearchRequest = Schemas["SearchRequest"];
export type SearchResult = Schemas["SearchResult"];
export type Hit = Schemas["Hit"];
export type FacetsRequest = Schemas["FacetsRequest"];
export type FacetsResult = Schemas["FacetsResult"];
/** What the gateway fills in when it is missing. */
export type Draft<Request> = Partial<Request>;

/** A refused request: its HTTP status, and one sentence with the remedy. */
export class LookstreamError extends Error {
  constructor(readonly status: number, message: string) {
    super(message);
    this.name = "LookstreamError";
  }
}

/** Sends requests to the gateway at an address, such as `https://search.shop.example`, with a token or key. */
export class LookstreamClient {
  readonly #address: string;
  readonly #headers: Record<string, string>;

  constructor(address: string, token?: string) {
    this.#address = address;
    this.#headers = token === undefined ? {} : { Authorization: `Bearer ${token}` };
  }

  /** Search by words, an item or a picture by URL; with `picture` by the encoded picture. Throws LookstreamError. */
  async search(request: Draft<SearchRequest>, picture?: Blob, signal?: AbortSignal): Promise<SearchResult> {
    if (picture === undefined) return this.#post("/v1/search", request, signal);
    const form = new FormData();
    form.append("picture", picture, "picture");
    form.append("request", JSON.stringify(request));
    return this.#send("/v1/search", { method: "POST", body: form }, signal);
  }

  /** Count items by field values, for filters. Throws LookstreamError. */
  async facets(request: Draft<FacetsRequest> = {}, signal?: AbortSignal): Promise<FacetsResult> {
    return this.#post("/v1/facets", request, signal);
  }

  #post<Result>(path: string, body: object, signal: AbortSignal | undefined): Promise<Result> {
    const headers = { "Content-Type": "application/json" };
    return this.#send(path, { method: "POST", body: JSON.stringify(body), headers }, signal);
  }

  async #send<Result>(path: string, options: RequestInit, signal: AbortSignal | undefined): Promise<Result> {
    const headers = { ...(options.headers as Record<string, string> | undefined), ...this.#headers };
    const response = await fetch(new URL(path, this.#address), { ...options, headers, signal: signal ?? null });
    const body: unknown = await response.json().catch(() => null);
    if (response.ok && body !== null) return body as Result;
    const problem = body as { detail?: string; message?: string } | null;
    throw new LookstreamError(response.status, problem?.detail ?? problem?.message ?? `the gateway answered ${response.status}`);
  }
}
