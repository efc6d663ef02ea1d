// The dialog that adds an item: it sends the picture and facts as an event, and shows the outcome.
import { addItem, ApiError } from "./api.js";
import { duration, find } from "./dom.js";
import { prepare } from "./picture.js";

/** The dialog that adds items; `onFind` is called with the id of an added item when the user wants to search by it. */
export class AddDialog {
  #dialog = find("add");
  #form = find("add-form");
  #picture = null;

  constructor(getTenant, onFind) {
    this.getTenant = getTenant;
    find("add-open").addEventListener("click", () => this.#open());
    find("add-close").addEventListener("click", () => this.#dialog.close());
    find("add-picture").addEventListener("change", (event) => this.#choosePicture(event.target.files[0]));
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
    this.#choosePicture(null);
    this.#showMessage("", "");
    find("add-find").hidden = true;
    this.#dialog.showModal();
  }

  #choosePicture(file) {
    const preview = find("add-preview");
    URL.revokeObjectURL(preview.src);
    this.#picture = file ?? null;
    preview.hidden = !file;
    if (file) preview.src = URL.createObjectURL(file);
  }

  async #send() {
    if (this.#picture === null) return this.#showMessage("Choose a picture first.", "refused");
    find("add-send").disabled = true;
    this.#showMessage("Sent. Waiting until the item is searchable …", "");
    const began = performance.now();
    try {
      const outcome = await addItem(this.#fields(), await prepare(this.#picture));
      this.#showOutcome(outcome, performance.now() - began);
    } catch (error) {
      if (!(error instanceof ApiError)) throw error;
      this.#showMessage(error.message, "refused");
    } finally {
      find("add-send").disabled = false;
    }
  }

  #fields() {
    const fields = Object.fromEntries([...new FormData(this.#form)].filter(([, value]) => value !== ""));
    if (fields.price) fields.price = Number(fields.price.replace(",", "."));
    if (fields.price !== undefined) fields.currency = (fields.currency ?? "EUR").toUpperCase();
    else delete fields.currency;
    return { ...fields, tenant: this.getTenant() };
  }

  #showOutcome(outcome, ms) {
    if (outcome.schema === "item.rejected/1") return this.#showMessage(outcome.message, "refused");
    if (outcome.schema !== "item.indexed/1") return this.#showMessage("The item was not indexed: a newer event of it was applied, or its labels block it.", "refused");
    find("add-find").hidden = false;
    this.#showMessage(sentences(outcome, ms).join(" "), "done");
  }

  #showMessage(text, state) {
    find("add-outcome").textContent = text;
    find("add-outcome").dataset.state = state;
  }
}

function sentences({ times, duplicate, category_predicted: predicted }, ms) {
  const fresh = Date.parse(times.searchable_at) - Date.parse(times.event_time);
  const searchable = `The item is searchable: ${duration(fresh)} after its event, ${duration(ms)} after you pressed Add.`;
  const categoryText = predicted ? `Predicted category: ${predicted.name}.` : null;
  const duplicateText = duplicate ? `It looks ${duplicate.verdict === "similar" ? "similar to" : "the same as"} ${duplicate.item_id}.` : null;
  return [searchable, categoryText, duplicateText].filter(Boolean);
}
