// The crop box on the query picture, drawn, moved and resized by pointer or keys. Units are fractions of the picture.
import { find, h } from "./dom.js";

const LEAST = 0.05; // shortest side of a crop
const STEP = 0.04; // of an arrow key
const CORNERS = ["nw", "ne", "sw", "se"];
const INITIAL = { x: 0.2, y: 0.2, w: 0.6, h: 0.6 };
const ARROWS = { ArrowLeft: [-1, 0], ArrowRight: [1, 0], ArrowUp: [0, -1], ArrowDown: [0, 1] };

const clamp = (value, low, high) => Math.min(Math.max(value, low), high);

/** The box between two opposite corners, clipped to the picture. */
function boxBetween(a, b) {
  const [x, y] = [clamp(Math.min(a.x, b.x), 0, 1), clamp(Math.min(a.y, b.y), 0, 1)];
  return { x, y, w: clamp(Math.max(a.x, b.x), 0, 1) - x, h: clamp(Math.max(a.y, b.y), 0, 1) - y };
}

function moveBox(box, dx, dy) {
  return { ...box, x: clamp(box.x + dx, 0, 1 - box.w), y: clamp(box.y + dy, 0, 1 - box.h) };
}

function resizeBox(box, dx, dy) {
  return { ...box, w: clamp(box.w + dx, LEAST, 1 - box.x), h: clamp(box.h + dy, LEAST, 1 - box.y) };
}

/** The control of the crop; `onCrop` is called with each finished box, or null for the whole picture. */
export class CropBox {
  #stage = find("stage");
  #element = find("crop");
  #box = null;
  #drag = null;

  constructor(onCrop) {
    this.onCrop = onCrop;
    this.#element.append(...CORNERS.map((corner) => h("i", { "data-corner": corner, "aria-hidden": "true" })));
    this.#stage.addEventListener("pointerdown", (event) => this.#begin(event));
    this.#stage.addEventListener("pointermove", (event) => this.#drawDrag(event));
    this.#stage.addEventListener("pointerup", () => this.#end());
    this.#stage.addEventListener("pointercancel", () => this.#end());
    this.#element.addEventListener("keydown", (event) => this.#press(event));
    find("crop-start").addEventListener("click", () => this.#start());
    find("crop-clear").addEventListener("click", () => this.#finish(null));
  }

  /** Show a crop, or none; `possible` says whether the picture can be cropped. */
  show(crop, possible) {
    this.possible = possible;
    this.#draw(crop);
    this.#stage.classList.remove("cropping");
    find("crop-start").hidden = !possible || crop !== null;
    find("crop-clear").hidden = !possible || crop === null;
  }

  #start() {
    this.#stage.classList.add("cropping");
    this.#draw(INITIAL);
    this.#element.focus();
    find("crop-clear").hidden = false;
    find("crop-start").hidden = true;
    this.onCrop(INITIAL);
  }

  #draw(box) {
    this.#box = box;
    this.#element.hidden = box === null;
    for (const side of box === null ? [] : ["x", "y", "w", "h"]) {
      this.#element.style.setProperty(`--${side}`, `${box[side] * 100}%`);
    }
  }

  #position(event) {
    const frame = this.#stage.getBoundingClientRect();
    return { x: (event.clientX - frame.left) / frame.width, y: (event.clientY - frame.top) / frame.height };
  }

  #begin(event) {
    if (!this.possible || event.button !== 0) return;
    const scrolls = event.pointerType === "touch" && this.#box === null;
    if (scrolls) return; // without a box, a finger scrolls the page
    const at = this.#position(event);
    const corner = event.target.dataset?.corner;
    const isOnBox = event.target.closest("[data-region]") !== null; // a click on it must reach it, so it is captured once it moves
    if (!isOnBox) this.#stage.setPointerCapture(event.pointerId);
    if (corner) this.#drag = { from: this.#oppositeCorner(corner), how: "corner" };
    else if (event.target === this.#element) this.#drag = { from: at, box: this.#box, how: "move" };
    else this.#drag = { from: at, before: this.#box, how: "corner" };
    event.preventDefault();
  }

  #oppositeCorner(corner) {
    const { x, y, w, h: height } = this.#box;
    return { x: corner.includes("w") ? x + w : x, y: corner.includes("n") ? y + height : y };
  }

  #drawDrag(event) {
    if (this.#drag === null) return;
    const { from, box, how } = this.#drag;
    const at = this.#position(event);
    if (!this.#stage.hasPointerCapture(event.pointerId)) this.#stage.setPointerCapture(event.pointerId);
    this.#draw(how === "move" ? moveBox(box, at.x - from.x, at.y - from.y) : boxBetween(from, at));
    this.#drag.moved = true;
  }

  #end() {
    const drag = this.#drag;
    this.#drag = null;
    if (!drag?.moved) return;
    const enough = this.#box.w >= LEAST && this.#box.h >= LEAST;
    if (enough) this.#finish(this.#box);
    else this.#draw(drag.before ?? drag.box ?? null);
  }

  #press(event) {
    if (event.key === "Delete" || event.key === "Backspace") this.#finish(null);
    const arrow = ARROWS[event.key];
    if (!arrow || this.#box === null) return;
    event.preventDefault();
    const change = event.shiftKey ? resizeBox : moveBox;
    this.#finish(change(this.#box, arrow[0] * STEP, arrow[1] * STEP));
  }

  #finish(box) {
    this.#draw(box);
    this.onCrop(box);
  }
}
