// Pictures on their way in: dropped, pasted, chosen or photographed, made small enough to travel; and into links.

const TAKEN = ["image/jpeg", "image/png", "image/webp"];
const MOST_BYTES = 700_000; // of a picture inside an event: MAX_INLINE_BYTES of schemas/items.py
const LONG_SIDE = 1280;
const IN_LINK = { side: 256, quality: 0.8 };

/** Call `take` with each picture that comes in by drop, paste or file input. */
export function watchForPictures(take) {
  for (const input of document.querySelectorAll("[data-picture]")) {
    input.addEventListener("change", () => {
      if (input.files[0]) take(input.files[0]);
      input.value = "";
    });
  }
  document.addEventListener("paste", (event) => {
    const file = [...event.clipboardData.files].find((each) => each.type.startsWith("image/"));
    if (file) take(file);
  });
  watchForDrops(take);
}

function watchForDrops(take) {
  const areas = [...document.querySelectorAll("[data-drop]")];
  const light = (on) => areas.forEach((area) => area.classList.toggle("over", on));
  document.addEventListener("dragover", (event) => {
    if (!event.dataTransfer.types.includes("Files") || document.querySelector("dialog[open]")) return;
    event.preventDefault();
    light(true);
  });
  document.addEventListener("dragleave", (event) => event.relatedTarget === null && light(false));
  document.addEventListener("drop", (event) => {
    light(false);
    if (document.querySelector("dialog[open]")) return;
    event.preventDefault();
    if (event.dataTransfer.files[0]) take(event.dataTransfer.files[0]);
  });
}

/** The picture as it travels: as it is when that will do, else shrunk to a JPEG; as it is, too, when it cannot be read here. */
export async function prepare(file) {
  if (TAKEN.includes(file.type) && file.size <= MOST_BYTES) return file;
  try {
    return await shrunk(file, LONG_SIDE, 0.9);
  } catch {
    return file; // the gateway says what is wrong with it
  }
}

/** A picture as text for a link, small. */
export async function toText(blob) {
  const small = await shrunk(blob, IN_LINK.side, IN_LINK.quality);
  const bytes = new Uint8Array(await small.arrayBuffer());
  return btoa(String.fromCharCode(...bytes)).replaceAll("+", "-").replaceAll("/", "_").replaceAll("=", "");
}

/** The picture in a link; null when it is none. */
export function fromText(text) {
  try {
    const bytes = Uint8Array.from(atob(text.replaceAll("-", "+").replaceAll("_", "/")), (each) => each.charCodeAt(0));
    return new Blob([bytes], { type: "image/jpeg" });
  } catch {
    return null;
  }
}

async function shrunk(blob, longSide, quality) {
  const whole = await createImageBitmap(blob);
  const scale = Math.min(1, longSide / Math.max(whole.width, whole.height));
  const canvas = document.createElement("canvas");
  canvas.width = Math.max(1, Math.round(whole.width * scale));
  canvas.height = Math.max(1, Math.round(whole.height * scale));
  const pen = canvas.getContext("2d");
  pen.imageSmoothingQuality = "high";
  pen.fillStyle = "#fff"; // where the picture is transparent
  pen.fillRect(0, 0, canvas.width, canvas.height);
  pen.drawImage(whole, 0, 0, canvas.width, canvas.height);
  whole.close();
  return new Promise((resolve) => canvas.toBlob(resolve, "image/jpeg", quality));
}
