// <lookstream-search>: search of a shop by picture. One file without dependencies; docs/storefront.md describes it.
// No text of an item is ever read as HTML, and styles are an adopted sheet, so that a strict content policy allows it.

const TEXTS = {
  en: {
    label: "Search by picture", choose: "Choose a photo", camera: "Take a photo", hint: "or drop or paste one here",
    busy: "Searching …", some: (n) => (n === 1 ? "1 similar item" : `${n} similar items`),
    none: "We have nothing that looks like this.", weak: "We may not have this. The nearest items:",
    nearest: "Show the nearest items", whole: "Whole picture", thing: (n, name) => `Thing ${n}${name ? `: ${name}` : ""}`,
    again: "Try again", yours: "Your picture", format: "This is not a picture that we can read. Use a JPEG, PNG or WebP.",
    large: "This picture is too large.", setup: "The search is not available on this page.",
    wait: "The search is busy. Try again in a moment.", offline: "The search cannot be reached. Check your connection.",
    soldOut: "sold out",
  },
  de: {
    label: "Mit Bild suchen", choose: "Foto auswählen", camera: "Foto aufnehmen", hint: "oder hierher ziehen oder einfügen",
    busy: "Suche läuft …", some: (n) => (n === 1 ? "1 ähnlicher Artikel" : `${n} ähnliche Artikel`),
    none: "Wir haben nichts, was so aussieht.", weak: "Das haben wir vielleicht nicht. Am nächsten kommen:",
    nearest: "Trotzdem das Nächste zeigen", whole: "Ganzes Bild", thing: (n, name) => `Ding ${n}${name ? `: ${name}` : ""}`,
    again: "Noch einmal", yours: "Ihr Bild", format: "Dieses Bild können wir nicht lesen. Nehmen Sie JPEG, PNG oder WebP.",
    large: "Dieses Bild ist zu groß.", setup: "Die Suche ist auf dieser Seite nicht verfügbar.",
    wait: "Die Suche ist ausgelastet. Versuchen Sie es gleich noch einmal.",
    offline: "Die Suche ist nicht erreichbar. Prüfen Sie Ihre Verbindung.", soldOut: "ausverkauft",
  },
  fr: {
    label: "Rechercher par image", choose: "Choisir une photo", camera: "Prendre une photo", hint: "ou déposez-la ou collez-la ici",
    busy: "Recherche …", some: (n) => (n === 1 ? "1 article similaire" : `${n} articles similaires`),
    none: "Nous n’avons rien qui y ressemble.", weak: "Nous ne l’avons peut-être pas. Les plus proches :",
    nearest: "Voir les plus proches", whole: "Image entière", thing: (n, name) => `Objet ${n}${name ? ` : ${name}` : ""}`,
    again: "Réessayer", yours: "Votre image", format: "Cette image est illisible. Utilisez JPEG, PNG ou WebP.",
    large: "Cette image est trop grande.", setup: "La recherche n’est pas disponible sur cette page.",
    wait: "La recherche est occupée. Réessayez dans un instant.",
    offline: "La recherche est injoignable. Vérifiez votre connexion.", soldOut: "épuisé",
  },
};
const STYLE = `
:host { display: block; container-type: inline-size; color-scheme: light dark;
  --_ink: var(--lookstream-ink, #1b1a18); --_soft: var(--lookstream-soft, #57544d); --_card: var(--lookstream-card, #ffffff);
  --_line: var(--lookstream-line, #8b877d); --_accent: var(--lookstream-accent, #0f5c4d);
  --_on-accent: var(--lookstream-on-accent, #ffffff); --_round: var(--lookstream-radius, 12px);
  color: var(--_ink); background: var(--_card); font: var(--lookstream-font, inherit); }
@media (prefers-color-scheme: dark) { :host(:not([theme=light])) {
  --_ink: var(--lookstream-ink, #f0eee8); --_soft: var(--lookstream-soft, #b3afa5); --_card: var(--lookstream-card, #1e1e1b);
  --_line: var(--lookstream-line, #8d897f); --_accent: var(--lookstream-accent, #7ad6bc); --_on-accent: var(--lookstream-on-accent, #08251e); } }
:host([theme=dark]) { --_ink: var(--lookstream-ink, #f0eee8); --_soft: var(--lookstream-soft, #b3afa5);
  --_card: var(--lookstream-card, #1e1e1b); --_line: var(--lookstream-line, #8d897f); --_accent: var(--lookstream-accent, #7ad6bc);
  --_on-accent: var(--lookstream-on-accent, #08251e); }
:host([hidden]), [hidden] { display: none !important; }
*, ::before { box-sizing: border-box; }
.drop { border: 2px dashed var(--_line); border-radius: var(--_round); padding: 16px; display: flex; flex-wrap: wrap; gap: 8px 12px; align-items: center; }
.drop.over { border-style: solid; border-color: var(--_accent); }
input { position: absolute; width: 1px; height: 1px; overflow: hidden; clip-path: inset(50%); }
label, button { font: inherit; font-weight: 600; min-height: 44px; padding: 0 18px; border-radius: 999px; display: inline-flex; align-items: center;
  cursor: pointer; border: 1px solid var(--_line); background: none; color: inherit; position: relative; }
label.main { background: var(--_accent); color: var(--_on-accent); border-color: transparent; }
label:has(:focus-visible), :focus-visible { outline: 3px solid var(--_accent); outline-offset: 2px; }
@media (hover: hover) and (pointer: fine) { .camera { display: none; } }
.hint, .price, .note { color: var(--_soft); }
.query { display: flex; gap: 16px; margin: 16px 0; align-items: flex-start; flex-wrap: wrap; }
.stage { position: relative; max-width: 240px; }
.stage img { display: block; max-width: 100%; max-height: 240px; border-radius: var(--_round); }
.box { position: absolute; left: var(--x); top: var(--y); width: var(--w); height: var(--h); border: 2px solid #fff; outline: 1px solid #1b1a18; border-radius: 8px; cursor: pointer; }
.box.pressed { border-color: var(--_accent); border-width: 4px; }
.parts { display: flex; flex-wrap: wrap; gap: 6px; }
.parts [aria-pressed=true] { background: var(--_accent); color: var(--_on-accent); border-color: transparent; }
.status { margin: 12px 0; min-height: 1.4em; }
ul { list-style: none; margin: 0; padding: 0; display: grid; gap: 12px; grid-template-columns: repeat(auto-fill, minmax(140px, 1fr)); }
.hit { display: block; width: 100%; height: 100%; padding: 0; min-height: 0; text-align: start; border: 1px solid var(--_line); border-radius: var(--_round); overflow: hidden; color: inherit; text-decoration: none; font-weight: inherit; }
.hit img { display: block; width: 100%; aspect-ratio: 1; object-fit: contain; background: #fff; transition: transform .2s; }
.hit:hover img { transform: scale(1.03); }
.hit span { display: block; padding: 8px 10px 0; overflow-wrap: anywhere; } .hit span:last-child { padding-bottom: 8px; }
@media (prefers-reduced-motion: reduce) { .hit img { transition: none; } .hit:hover img { transform: none; } }
`;
const LONGEST_SIDE = 1600;
const LARGE_BYTES = 700_000;
const LOW_COVERAGE = 0.35;
const ORIGIN = new URL(import.meta.url).origin;

/** An element with properties, attributes (names with a dash, and `part`) and children; texts become text nodes. */
function h(name, properties = {}, ...children) {
  const [tag, ...classes] = name.split(".");
  const element = document.createElement(tag);
  element.classList.add(...classes);
  for (const [key, value] of Object.entries(properties)) {
    if (value === null || value === undefined) continue;
    if (key.startsWith("--")) element.style.setProperty(key, value);
    else if (key in element && key !== "part") element[key] = value;
    else element.setAttribute(key, value);
  }
  element.append(...children.filter((child) => child !== null && child !== undefined));
  return element;
}

/** The picture, smaller if it is large; as it is if this browser cannot decode it. */
async function shrunk(file) {
  if (file.size <= LARGE_BYTES) return file;
  try {
    const bitmap = await createImageBitmap(file);
    const share = Math.min(1, LONGEST_SIDE / Math.max(bitmap.width, bitmap.height));
    const canvas = h("canvas", { width: Math.round(bitmap.width * share), height: Math.round(bitmap.height * share) });
    canvas.getContext("2d").drawImage(bitmap, 0, 0, canvas.width, canvas.height);
    bitmap.close();
    return (await new Promise((resolve) => canvas.toBlob(resolve, "image/jpeg", 0.9))) ?? file;
  } catch {
    return file;
  }
}

/** The address of a JPEG in the base64 of results, whose alphabet is that of URLs. */
const dataAddress = (text) => `data:image/jpeg;base64,${text.replaceAll("-", "+").replaceAll("_", "/")}`;
const fileIn = (transfer) => [...(transfer?.files ?? [])].find((file) => file.type.startsWith("image/"));
const isEditable = (target) => target instanceof HTMLElement && (target.isContentEditable || /^(input|textarea|select)$/i.test(target.tagName));

class LookstreamSearch extends HTMLElement {
  static observedAttributes = ["locale"];
  #root = this.attachShadow({ mode: "open" });
  #running = null;
  #picture = null;
  #address = null;
  #result = null;
  #part = null;
  #strict = true;
  #stops = null;

  connectedCallback() {
    this.#stops = new AbortController();
    const { signal } = this.#stops;
    this.#root.adoptedStyleSheets = [LookstreamSearch.#sheet()];
    this.#build();
    this.addEventListener("dragover", (event) => this.#over(event, true), { signal });
    this.addEventListener("dragleave", (event) => this.#over(event, false), { signal });
    this.addEventListener("drop", (event) => this.#drop(event), { signal });
    document.addEventListener("paste", (event) => this.#paste(event), { signal });
  }

  disconnectedCallback() {
    this.#stops?.abort();
    this.#running?.abort();
    this.#forget();
  }

  attributeChangedCallback() {
    if (this.isConnected && this.#root.firstChild) {
      this.#build();
      if (this.#result) this.#show();
    }
  }

  /** Search by a picture (a Blob); resolves when the result is shown. */
  async search(picture) {
    this.#forget();
    this.#running?.abort();
    const address = (this.#address = URL.createObjectURL(picture));
    this.#find("section").setAttribute("aria-busy", "true");
    const small = await shrunk(picture);
    if (address !== this.#address) return; // a later picture has taken its place
    this.#picture = small;
    this.#strict = true;
    await this.#send();
  }

  /** The last result of the gateway; null before. */
  get result() {
    return this.#result;
  }

  get #locale() {
    return this.getAttribute("locale") || document.documentElement.lang || navigator.language || "en";
  }

  get #texts() {
    return TEXTS[this.#locale.slice(0, 2).toLowerCase()] ?? TEXTS.en;
  }

  static #styles = null;
  static #sheet() {
    if (this.#styles === null) {
      this.#styles = new CSSStyleSheet();
      this.#styles.replaceSync(STYLE);
    }
    return this.#styles;
  }

  #find(name) {
    return this.#root.querySelector(name);
  }

  #build() {
    const texts = this.#texts;
    const input = (camera) => h("input", {
      type: "file", accept: "image/*", ...(camera ? { capture: "environment" } : {}),
      onchange: ({ currentTarget: field }) => {
        const [file] = field.files;
        field.value = ""; // the same file can be chosen again
        if (file) this.search(file);
      },
    });
    this.#root.replaceChildren(h("section", { "aria-label": texts.label, lang: this.#locale, part: "root" },
      h("div.drop", { part: "drop" },
        h("label.main", { part: "button" }, texts.choose, input(false)),
        h("label.camera", { part: "button" }, texts.camera, input(true)),
        h("span.hint", { part: "hint" }, texts.hint)),
      h("div.query", { part: "query", hidden: true }),
      h("div.status", { part: "status", role: "status" }),
      h("ul", { part: "hits", "aria-label": texts.label, hidden: true })));
  }

  #over(event, on) {
    event.preventDefault();
    this.#find(".drop").classList.toggle("over", on);
  }

  #drop(event) {
    this.#over(event, false);
    const file = fileIn(event.dataTransfer);
    if (file) this.search(file);
  }

  #paste(event) {
    const file = fileIn(event.clipboardData);
    if (!file || event.defaultPrevented || isEditable(event.composedPath()[0])) return;
    event.preventDefault();
    this.search(file);
  }

  async #send() {
    this.#running?.abort();
    const running = (this.#running = new AbortController());
    this.#result = this.#part = null;
    this.#find("section").setAttribute("aria-busy", "true");
    this.#say(this.#texts.busy);
    try {
      const result = await this.#ask(running.signal);
      if (running !== this.#running) return;
      this.#result = result;
      this.#show();
      this.dispatchEvent(new CustomEvent("lookstream-results", { detail: result, bubbles: true, composed: true }));
    } catch (error) {
      if (running === this.#running && error.name !== "AbortError") this.#fail(error.status);
    } finally {
      if (running === this.#running) this.#find("section")?.setAttribute("aria-busy", "false");
    }
  }

  async #ask(signal) {
    const form = new FormData();
    const tenant = this.getAttribute("tenant");
    const most = Number(this.getAttribute("top-k")) || 12;
    const request = { top_k: most, thumbnails: true, objects: "auto", strict: this.#strict, ...(tenant ? { tenant } : {}) };
    form.append("picture", this.#picture, "picture");
    form.append("request", JSON.stringify(request));
    const key = this.getAttribute("key");
    const response = await fetch(new URL("/v1/search", this.getAttribute("endpoint") || ORIGIN), {
      method: "POST", body: form, signal, credentials: "omit", referrerPolicy: "origin",
      headers: key ? { Authorization: `Bearer ${key}` } : {},
    });
    const result = await response.json().catch(() => null);
    if (!response.ok || result === null) throw Object.assign(new Error("refused"), { status: response.status });
    return result;
  }

  #say(text, ...actions) {
    this.#find(".status").replaceChildren(text, ...actions);
  }

  #action(text, run) {
    return h("button", { type: "button", part: "button", onclick: run }, text);
  }

  #fail(status) {
    const texts = this.#texts;
    const reasons = { 401: texts.setup, 403: texts.setup, 404: texts.setup, 413: texts.large, 415: texts.format, 422: texts.format };
    const text = status === undefined ? texts.offline : (reasons[status] ?? texts.wait);
    this.#find("ul").hidden = true;
    this.#find(".query").hidden = true;
    this.#say(`${text} `, text === texts.wait || text === texts.offline ? this.#action(texts.again, () => this.#send()) : "");
    this.dispatchEvent(new CustomEvent("lookstream-error", { detail: { status: status ?? 0 }, bubbles: true, composed: true }));
  }

  #show() {
    const texts = this.#texts;
    const regions = this.#result.regions ?? [];
    const shown = this.#part === null ? this.#result : regions[this.#part];
    const hits = shown.hits ?? [];
    this.#showQuery(regions);
    this.#find("ul").replaceChildren(...hits.map((hit, index) => h("li", {}, this.#hit(hit, index))));
    this.#find("ul").hidden = hits.length === 0;
    if (hits.length === 0) {
      this.#say(`${texts.none} `, this.#strict ? this.#action(texts.nearest, () => { this.#strict = false; this.#send(); }) : "");
    } else {
      const isWeak = !this.#strict || (shown.coverage ?? 1) < LOW_COVERAGE;
      this.#say(isWeak ? texts.weak : texts.some(hits.length));
    }
  }

  #showQuery(regions) {
    const choose = (part) => () => {
      this.#part = part;
      this.#show();
      this.#root.querySelectorAll(".parts button")[part === null ? 0 : part + 1]?.focus();
    };
    const share = (value) => `${value * 100}%`;
    const boxes = regions.map(({ box }, part) => h(part === this.#part ? "div.box.pressed" : "div.box", {
      part: "box", onclick: choose(part), "--x": share(box.x), "--y": share(box.y), "--w": share(box.w), "--h": share(box.h),
    }));
    const chip = (text, part) => h("button", { type: "button", part: "chip", onclick: choose(part), "aria-pressed": String(part === this.#part) }, text);
    const chips = regions.map((region, part) => chip(this.#texts.thing(part + 1, region.categories?.[0]?.name), part));
    this.#find(".query").replaceChildren(
      h("div.stage", {}, h("img", { src: this.#address, alt: this.#texts.yours, part: "picture" }), ...boxes),
      regions.length ? h("div.parts", { role: "group", "aria-label": this.#texts.yours }, chip(this.#texts.whole, null), ...chips) : "");
    this.#find(".query").hidden = false;
  }

  #hit(hit, index) {
    const title = hit.title ?? hit.item_id;
    const isLink = /^https?:\/\//i.test(hit.url ?? "");
    const select = (event) => {
      const chosen = new CustomEvent("lookstream-select", { detail: { hit, index }, bubbles: true, composed: true, cancelable: true });
      if (!this.dispatchEvent(chosen)) event.preventDefault();
    };
    const facts = [this.#price(hit), hit.in_stock === false ? this.#texts.soldOut : null].filter(Boolean).join(" · ");
    return h(isLink ? "a.hit" : "button.hit", { part: "hit", onclick: select, ...(isLink ? { href: hit.url } : { type: "button" }) },
      h("img", { alt: "", part: "thumbnail", src: hit.thumbnail ? dataAddress(hit.thumbnail) : null }),
      h("span", { part: "title" }, title), facts ? h("span.price", { part: "price" }, facts) : null);
  }

  #price({ price, currency }) {
    if (price === null || price === undefined || !currency) return null;
    try {
      return new Intl.NumberFormat(this.#locale, { style: "currency", currency }).format(price);
    } catch {
      return `${price} ${currency}`;
    }
  }

  #forget() {
    if (this.#address) URL.revokeObjectURL(this.#address);
    this.#address = null;
  }
}

if (!customElements.get("lookstream-search")) customElements.define("lookstream-search", LookstreamSearch);
