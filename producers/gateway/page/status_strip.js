// The status strip: the number of pictures, events a second, and the freshness of the index.
import { status } from "./api.js";
import { duration, find } from "./dom.js";

const EVERY_MS = 3000;

/** Update the strip every EVERY_MS; `getTenant` returns the tenant whose items are counted. */
export function startStatusStrip(getTenant) {
  const refresh = async () => {
    if (document.visibilityState === "visible" && !document.querySelector("#token[open]")) await update(getTenant());
    setTimeout(refresh, EVERY_MS);
  };
  refresh();
}

async function update(tenant) {
  const strip = find("strip");
  const put = (name, text) => { strip.querySelector(`[data-strip=${name}]`).textContent = text; };
  try {
    const now = await status(tenant);
    put("pictures", now.pictures.toLocaleString());
    put("pace", now.per_second.toFixed(now.per_second < 10 ? 1 : 0));
    put("fresh", now.freshness_ms === null ? "–" : duration(now.freshness_ms));
    strip.dataset.state = "well";
  } catch {
    strip.dataset.state = "away";
  }
}
