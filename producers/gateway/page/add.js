// Adding an item: its picture and facts go out as an event, and the page waits for what became of it.
import { addItem, Refused } from "./api.js";
import { duration, find } from "./dom.js";
import { prepare } from "./picture.js";

/** The dialog that adds items; `onFind` is called with the item id of one that was added. */
export class AddDialog {
  #dialog = find("add");
  #form = find("add-form");
  #picture = null;

  constructor(tenantNow, onFind) {
    this.tenantNow = tenantNow;
    find("add-open").addEventListener("click", () => this.#open());
    find("add-close").addEventListener("click", () => this.#dialog.close());
    find("add-picture").addEventListener("change", (event) => this.#take(event.target.files[0]));
    find("add-find").addEventListener("click", () => {
      this.#dialog.close();
      onFind(this.#form.elements.item_id.value);
    });
    this.#form.addEventListener("submit", (event) => {
      event.preventDefault();
      this.#send();
    });
  }

  #open() {
    this.#form.reset();
    this.#form.elements.item_id.value = `page-${Date.now().toString(36)}`;
    this.#take(null);
    this.#say("", "");
    find("add-find").hidden = true;
    this.#dialog.showModal();
  }

  #take(file) {
    const preview = find("add-preview");
    URL.revokeObjectURL(preview.src);
    this.#picture = file ?? null;
    preview.hidden = !file;
    if (file) preview.src = URL.createObjectURL(file);
  }

  async #send() {
    if (this.#picture === null) return this.#say("Choose a picture first.", "refused");
    find("add-send").disabled = true;
    this.#say("Sent. Waiting until the item is searchable …", "");
    const began = performance.now();
    try {
      const outcome = await addItem(this.#fields(), await prepare(this.#picture));
      this.#tell(outcome, performance.now() - began);
    } catch (error) {
      if (!(error instanceof Refused)) throw error;
      this.#say(error.message, "refused");
    } finally {
      find("add-send").disabled = false;
    }
  }

  #fields() {
    const given = Object.fromEntries([...new FormData(this.#form)].filter(([, value]) => value !== ""));
    if (given.price) given.price = Number(given.price.replace(",", "."));
    if (given.price !== undefined) given.currency = (given.currency ?? "EUR").toUpperCase();
    else delete given.currency;
    return { ...given, tenant: this.tenantNow() };
  }

  #tell(outcome, ms) {
    if (outcome.schema === "item.rejected/1") return this.#say(outcome.message, "refused");
    if (outcome.schema !== "item.indexed/1") return this.#say("The item was not indexed: a newer event of it was applied, or its labels block it.", "refused");
    find("add-find").hidden = false;
    this.#say(sentences(outcome, ms).join(" "), "done");
  }

  #say(text, state) {
    find("add-outcome").textContent = text;
    find("add-outcome").dataset.state = state;
  }
}

function sentences({ times, duplicate, category_predicted: category }, ms) {
  const fresh = Date.parse(times.searchable_at) - Date.parse(times.event_time);
  const can = `The item is searchable: ${duration(fresh)} after its event, ${duration(ms)} after you pressed Add.`;
  const kind = category ? `Predicted category: ${category.name}.` : null;
  const same = duplicate ? `It looks ${duplicate.verdict === "similar" ? "similar to" : "the same as"} ${duplicate.item_id}.` : null;
  return [can, kind, same].filter(Boolean);
}
