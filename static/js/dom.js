// The only place that builds elements. Text goes in as text: what an exchange calls a symbol is never parsed.
import { localTime } from "./words.js";

/** An element with attributes, listeners (`onclick: fn`) and children; a string child is a text node. */
export function h(tag, attributes = {}, ...children) {
  const node = document.createElement(tag);
  for (const [name, value] of Object.entries(attributes)) {
    if (value === null || value === undefined || value === false) continue;
    if (name.startsWith("on")) node.addEventListener(name.slice(2), value);
    else node.setAttribute(name, value === true ? "" : String(value));
  }
  node.append(...children.flat(2).filter((child) => child !== null && child !== undefined));
  return node;
}

/** Only when it differs: an unchanged live region stays silent, and nothing is laid out again. */
export function setText(node, text) {
  if (node.textContent !== text) node.textContent = text;
}

export function setAttribute(node, name, value) {
  if (value === null || value === undefined) node.removeAttribute(name);
  else if (node.getAttribute(name) !== String(value)) node.setAttribute(name, String(value));
}

export const byId = (id) => document.getElementById(id);

/** A mark that says a level three ways: by shape, by word, by colour. */
export function badge(level, word) {
  const node = h("span", { class: "badge" }, h("span", { class: "shape", "aria-hidden": "true" }), h("span", { class: "word" }));
  setBadge(node, level, word);
  return node;
}

const SHAPES = { calm: "●", info: "●", warning: "▲", critical: "■", off: "○" };

export function setBadge(node, level, word) {
  setAttribute(node, "data-level", level);
  setText(node.querySelector(".shape"), SHAPES[level] ?? "●");
  setText(node.querySelector(".word"), word);
}

export function row(header, ...cells) {
  return h("tr", {}, h("th", { scope: "row" }, header), cells);
}

/** Bring the children of `parent` into the order of `nodes`, touching only what moved. */
export function arrange(parent, nodes) {
  let place = parent.firstChild;
  for (const node of nodes) {
    if (node === place) place = place.nextSibling;
    else parent.insertBefore(node, place);
  }
  while (place) {
    const next = place.nextSibling;
    place.remove();
    place = next;
  }
}

export function timeElement(ms, style = "time") {
  const node = h("time", {});
  setTime(node, ms, style);
  return node;
}

export function setTime(node, ms, style = "time") {
  const moment = new Date(ms);
  const iso = moment.toISOString();
  if (node.dateTime === iso && node.dataset.style === style) return;
  node.dateTime = iso;
  node.dataset.style = style;
  node.title = `${iso.replace("T", " ").replace(/\.\d+Z$/, "")} UTC`;
  node.textContent = localTime(moment, style);
}
