// Elements, made in one line. Text is always set as text: nothing that comes from an item is ever read as HTML.

/** An element: `h("button.chip", {type: "button", onclick}, "text", child)`. Names with a dash, `role`, and `for` are attributes. */
export function h(name, properties = {}, ...children) {
  const [tag, ...classes] = name.split(".");
  const element = document.createElement(tag);
  element.classList.add(...classes);
  for (const [key, value] of Object.entries(properties)) {
    if (value === null || value === undefined) continue;
    if (key.startsWith("--")) element.style.setProperty(key, value);
    else if (key in element) element[key] = value;
    else element.setAttribute(key, value);
  }
  element.append(...children.filter((child) => child !== null && child !== undefined));
  return element;
}

/** A drawing of lines, 24 by 24; people who hear the page are told nothing of it. */
export function icon(path) {
  const svg = document.createElementNS("http://www.w3.org/2000/svg", "svg");
  svg.setAttribute("viewBox", "0 0 24 24");
  svg.setAttribute("aria-hidden", "true");
  const line = document.createElementNS("http://www.w3.org/2000/svg", "path");
  line.setAttribute("d", path);
  svg.append(line);
  return svg;
}

export const find = (id) => document.getElementById(id);

/** A share as people read it: .873 is "87 %". */
export const percent = (share) => `${Math.round(share * 100)} %`;

/** Milliseconds as people read them. */
export const duration = (ms) => (ms < 1000 ? `${Math.round(ms)} ms` : `${(ms / 1000).toFixed(1)} s`);

/** A function that runs once its calls have paused for so long. */
export function settled(run, ms) {
  let timer;
  return (...given) => {
    clearTimeout(timer);
    timer = setTimeout(() => run(...given), ms);
  };
}
