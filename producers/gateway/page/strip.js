// The live strip: how much there is to find, how many events come through, how fresh they are.
import { status } from "./api.js";
import { duration, find } from "./dom.js";

const EVERY_MS = 3000;

/** Keep the strip up to date; `tenantNow` says whose items are counted. */
export function keepStrip(tenantNow) {
  const look = async () => {
    if (document.visibilityState === "visible" && !document.querySelector("#token[open]")) await update(tenantNow());
    setTimeout(look, EVERY_MS);
  };
  look();
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
