// The pictures of this browser's searches, by their digests: the address bar has the digest, the shelf the picture.

const STORE = "pictures";
const MOST = 40;
const held = new Map(); // for browsers that keep nothing, as in private windows

/** Keep a picture; its name. It is on the shelf a little later: nobody waits for that. */
export async function keep(blob) {
  const name = await digest(blob);
  held.set(name, blob);
  putAway(name, blob).catch(() => null);
  return name;
}

async function putAway(name, blob) {
  await shelf("readwrite", (store) => store.put({ name, blob, at: Date.now() }));
  await makeRoom();
}

/** A kept picture; null when it is not here (any more). */
export async function get(name) {
  if (held.has(name)) return held.get(name);
  const found = await shelf("readonly", (store) => store.get(name)).catch(() => null);
  return found?.blob ?? null;
}

async function digest(blob) {
  if (!globalThis.crypto?.subtle) return crypto.getRandomValues(new Uint32Array(4)).join("-"); // plain http elsewhere
  const bytes = new Uint8Array(await crypto.subtle.digest("SHA-256", await blob.arrayBuffer()));
  return Array.from(bytes.slice(0, 12), (byte) => byte.toString(16).padStart(2, "0")).join("");
}

async function makeRoom() {
  const all = await shelf("readonly", (store) => store.getAll());
  const old = all.sort((one, other) => other.at - one.at).slice(MOST);
  for (const { name } of old) await shelf("readwrite", (store) => store.delete(name));
}

function shelf(mode, use) {
  return new Promise((resolve, reject) => {
    const opening = indexedDB.open("lookstream", 1);
    opening.onupgradeneeded = () => opening.result.createObjectStore(STORE, { keyPath: "name" });
    opening.onerror = () => reject(opening.error);
    opening.onsuccess = () => {
      const using = use(opening.result.transaction(STORE, mode).objectStore(STORE));
      using.onsuccess = () => resolve(using.result);
      using.onerror = () => reject(using.error);
      using.transaction.oncomplete = () => opening.result.close();
    };
  });
}
