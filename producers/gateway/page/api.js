// The gateway over HTTP. What goes wrong is a Refused with one sentence for people.
import { find } from "./dom.js";

const TOKEN = "lookstream-token";

/** A request that was not answered as hoped; the message is a sentence with the remedy. */
export class Refused extends Error {
  constructor(status, message) {
    super(message);
    this.status = status;
  }
}

/** The response to a request; asks for the gateway's token when it wants one. Throws Refused. */
async function ask(path, options = {}) {
  const token = sessionStorage.getItem(TOKEN);
  const headers = { ...options.headers, ...(token ? { Authorization: `Bearer ${token}` } : {}) };
  let response;
  try {
    response = await fetch(path, { ...options, headers });
  } catch (error) {
    if (error.name === "AbortError") throw error;
    throw new Refused(0, "The gateway cannot be reached. Is lookstream still running?");
  }
  if (response.status === 401) {
    await askForToken();
    return ask(path, options);
  }
  return response;
}

async function json(path, options) {
  const response = await ask(path, options);
  const body = await response.json().catch(() => ({}));
  if (response.ok) return body;
  throw new Refused(response.status, body.detail ?? body.message ?? `The gateway answered ${response.status}.`);
}

let asking = null;

/** The dialog, once for all the requests that wait for it. */
function askForToken() {
  asking ??= new Promise((resolve) => {
    const dialog = find("token");
    dialog.addEventListener("close", () => {
      sessionStorage.setItem(TOKEN, new FormData(find("token-form")).get("token"));
      asking = null;
      resolve();
    }, { once: true });
    dialog.addEventListener("cancel", (event) => event.preventDefault());
    dialog.showModal();
  });
  return asking;
}

const post = (body, signal) => ({
  method: "POST", body: JSON.stringify(body), headers: { "Content-Type": "application/json" }, signal,
});

/** The result of a search; `picture` is a Blob, or null. */
export function search(request, picture, signal) {
  if (picture === null) return json("/v1/search", post(request, signal));
  const form = new FormData();
  form.append("picture", picture, "picture");
  form.append("request", JSON.stringify(request));
  return json("/v1/search", { method: "POST", body: form, signal });
}

/** How many items there are of each category, colour, brand and source. */
export const facets = (request, signal) => json("/v1/facets", post(request, signal));

export const items = (tenant, limit) => json(`/v1/items?${new URLSearchParams({ tenant, limit })}`);
export const status = (tenant) => json(`/v1/status?${new URLSearchParams({ tenant })}`);

const escaped = (id) => id.split("/").map(encodeURIComponent).join("/");
export const item = (tenant, id) => json(`/v1/items/${escaped(id)}?${new URLSearchParams({ tenant })}`);

/** The address of one of an item's pictures, for an <img>; an object URL, since an <img> cannot send a token. */
export async function pictureOf(tenant, id, number = 0) {
  const response = await ask(`/v1/pictures/${number}/${escaped(id)}?${new URLSearchParams({ tenant })}`);
  if (!response.ok) throw new Refused(response.status, "The index has no picture of this item.");
  return URL.createObjectURL(await response.blob());
}

/** Send an item, and wait until it is known what became of it. */
export async function addItem(fields, picture) {
  const form = new FormData();
  form.append("pictures", picture, "picture");
  form.append("item", JSON.stringify(fields));
  const sent = await json("/v1/items", { method: "POST", body: form });
  return json(`${sent.outcome}?wait=30`);
}
