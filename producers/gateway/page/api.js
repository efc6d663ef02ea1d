// The HTTP API of the gateway. Errors are ApiError, with one sentence for people.
import { find } from "./dom.js";

const TOKEN = "lookstream-token";

/** A failed request: its HTTP status (0 without a response), and a sentence with the remedy. */
export class ApiError extends Error {
  constructor(status, message) {
    super(message);
    this.status = status;
  }
}

/** The response to a request; if the gateway requires a token, asks the user for it first. Throws ApiError. */
async function send(path, options = {}) {
  const token = sessionStorage.getItem(TOKEN);
  const headers = { ...options.headers, ...(token ? { Authorization: `Bearer ${token}` } : {}) };
  let response;
  try {
    response = await fetch(path, { ...options, headers });
  } catch (error) {
    if (error.name === "AbortError") throw error;
    throw new ApiError(0, "The gateway cannot be reached. Is lookstream still running?");
  }
  if (response.status === 401) {
    await askForToken();
    return send(path, options);
  }
  return response;
}

async function requestJson(path, options) {
  const response = await send(path, options);
  const body = await response.json().catch(() => ({}));
  if (response.ok) return body;
  throw new ApiError(response.status, body.detail ?? body.message ?? `The gateway answered ${response.status}.`);
}

let tokenDialog = null;

/** Open the dialog for the token, once for all waiting requests; resolves when it closes. */
function askForToken() {
  tokenDialog ??= new Promise((resolve) => {
    const dialog = find("token");
    dialog.addEventListener("close", () => {
      sessionStorage.setItem(TOKEN, new FormData(find("token-form")).get("token"));
      tokenDialog = null;
      resolve();
    }, { once: true });
    dialog.addEventListener("cancel", (event) => event.preventDefault());
    dialog.showModal();
  });
  return tokenDialog;
}

const post = (body, signal) => ({
  method: "POST", body: JSON.stringify(body), headers: { "Content-Type": "application/json" }, signal,
});

/** The result of a search; `picture` is a Blob, or null. */
export function search(request, picture, signal) {
  if (picture === null) return requestJson("/v1/search", post(request, signal));
  const form = new FormData();
  form.append("picture", picture, "picture");
  form.append("request", JSON.stringify(request));
  return requestJson("/v1/search", { method: "POST", body: form, signal });
}

/** The number of items of each category, colour, brand and source. */
export const facets = (request, signal) => requestJson("/v1/facets", post(request, signal));

export const items = (tenant, limit) => requestJson(`/v1/items?${new URLSearchParams({ tenant, limit })}`);
export const status = (tenant) => requestJson(`/v1/status?${new URLSearchParams({ tenant })}`);

const escapePath = (id) => id.split("/").map(encodeURIComponent).join("/");
export const item = (tenant, id) => requestJson(`/v1/items/${escapePath(id)}?${new URLSearchParams({ tenant })}`);

/** The address of one of an item's pictures, for an <img>; an object URL, since an <img> cannot send a token. */
export async function pictureOf(tenant, id, number = 0) {
  const response = await send(`/v1/pictures/${number}/${escapePath(id)}?${new URLSearchParams({ tenant })}`);
  if (!response.ok) throw new ApiError(response.status, "The index has no picture of this item.");
  return URL.createObjectURL(await response.blob());
}

/** Send an item, and wait at most 30 s for its outcome. */
export async function addItem(fields, picture) {
  const form = new FormData();
  form.append("pictures", picture, "picture");
  form.append("item", JSON.stringify(fields));
  const sent = await requestJson("/v1/items", { method: "POST", body: form });
  return requestJson(`${sent.outcome}?wait=30`);
}
