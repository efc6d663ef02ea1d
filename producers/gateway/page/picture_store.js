// The store of query pictures in this browser, by digest; the address bar holds the digest.

const STORE = "pictures";
const MOST = 40;
const memory = new Map(); // for browsers without a database, as in private windows

/** Store a picture; resolves to its name before the database has written it. */
export async function save(blob) {
  const name = await digest(blob);
  memory.set(name, blob);
  write(name, blob).catch(() => null);
  return name;
}

async function write(name, blob) {
  await transact("readwrite", (store) => store.put({ name, blob, at: Date.now() }));
  await removeOldest();
}

/** A stored picture; null when this browser does not have it. */
export async function load(name) {
  if (memory.has(name)) return memory.get(name);
  const found = await transact("readonly", (store) => store.get(name)).catch(() => null);
  return found?.blob ?? null;
}

async function digest(blob) {
  if (!globalThis.crypto?.subtle) return crypto.getRandomValues(new Uint32Array(4)).join("-"); // pages over plain http have no digest
  const bytes = new Uint8Array(await crypto.subtle.digest("SHA-256", await blob.arrayBuffer()));
  return Array.from(bytes.slice(0, 12), (byte) => byte.toString(16).padStart(2, "0")).join("");
}

async function removeOldest() {
  const all = await transact("readonly", (store) => store.getAll());
  const old = all.sort((one, other) => other.at - one.at).slice(MOST);
  for (const { name } of old) await transact("readwrite", (store) => store.delete(name));
}

function transact(mode, use) {
  return new Promise((resolve, reject) => {
    const opening = indexedDB.open("lookstream", 1);
    opening.onupgradeneeded = () => opening.result.createObjectStore(STORE, { keyPath: "name" });
    opening.onerror = () => reject(opening.error);
    opening.onsuccess = () => {
      const query = use(opening.result.transaction(STORE, mode).objectStore(STORE));
      query.onsuccess = () => resolve(query.result);
      query.onerror = () => reject(query.error);
      query.transaction.oncomplete = () => opening.result.close();
    };
  });
}
