// Query pictures: read from drops, pastes and file inputs, shrunk for requests, and encoded in links.

const ACCEPTED = ["image/jpeg", "image/png", "image/webp"];
const MOST_BYTES = 700_000; // of a picture inside an event: MAX_INLINE_BYTES of schemas/items.py
const LONG_SIDE = 1280;
const IN_LINK = { side: 256, quality: 0.8 };

/** Call `onPicture` with each picture from a drop, a paste or a file input. */
export function listenForPictures(onPicture) {
  for (const input of document.querySelectorAll("[data-picture]")) {
    input.addEventListener("change", () => {
      if (input.files[0]) onPicture(input.files[0]);
      input.value = "";
    });
  }
  document.addEventListener("paste", (event) => {
    const file = [...event.clipboardData.files].find((each) => each.type.startsWith("image/"));
    if (file) onPicture(file);
  });
  listenForDrops(onPicture);
}

function listenForDrops(onPicture) {
  const areas = [...document.querySelectorAll("[data-drop]")];
  const highlight = (on) => areas.forEach((area) => area.classList.toggle("over", on));
  document.addEventListener("dragover", (event) => {
    if (!event.dataTransfer.types.includes("Files") || document.querySelector("dialog[open]")) return;
    event.preventDefault();
    highlight(true);
  });
  document.addEventListener("dragleave", (event) => event.relatedTarget === null && highlight(false));
  document.addEventListener("drop", (event) => {
    highlight(false);
    if (document.querySelector("dialog[open]")) return;
    event.preventDefault();
    if (event.dataTransfer.files[0]) onPicture(event.dataTransfer.files[0]);
  });
}

/** The picture for a request: unchanged if it is small and accepted, or if the browser cannot read it; else a smaller JPEG. */
export async function prepare(file) {
  if (ACCEPTED.includes(file.type) && file.size <= MOST_BYTES) return file;
  try {
    return await shrink(file, LONG_SIDE, 0.9);
  } catch {
    return file; // the gateway answers with the error
  }
}

/** A small copy of a picture as text for a link. */
export async function toText(blob) {
  const small = await shrink(blob, IN_LINK.side, IN_LINK.quality);
  const bytes = new Uint8Array(await small.arrayBuffer());
  return btoa(String.fromCharCode(...bytes)).replaceAll("+", "-").replaceAll("/", "_").replaceAll("=", "");
}

/** The picture from the text of a link; null when the text is invalid. */
export function fromText(text) {
  try {
    const bytes = Uint8Array.from(atob(text.replaceAll("-", "+").replaceAll("_", "/")), (each) => each.charCodeAt(0));
    return new Blob([bytes], { type: "image/jpeg" });
  } catch {
    return null;
  }
}

async function shrink(blob, longSide, quality) {
  const whole = await createImageBitmap(blob);
  const scale = Math.min(1, longSide / Math.max(whole.width, whole.height));
  const canvas = document.createElement("canvas");
  canvas.width = Math.max(1, Math.round(whole.width * scale));
  canvas.height = Math.max(1, Math.round(whole.height * scale));
  const pen = canvas.getContext("2d");
  pen.imageSmoothingQuality = "high";
  pen.fillStyle = "#fff"; // the background of transparent pictures
  pen.fillRect(0, 0, canvas.width, canvas.height);
  pen.drawImage(whole, 0, 0, canvas.width, canvas.height);
  whole.close();
  return new Promise((resolve) => canvas.toBlob(resolve, "image/jpeg", quality));
}
