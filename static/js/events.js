// The stream of events: newest first, filtered, each one opens to everything that is known about it.
import { get } from "./api.js";
import { arrange, badge, h, setAttribute, setBadge, setText, setTime, timeElement } from "./dom.js";
import { mark, market, now, on, symbols, takeEvent, view } from "./store.js";
import { levelOf } from "./truth.js";
import { duration, headline, phrase } from "./words.js";

const PAGE = 200;
const CHUNK = 50; // rows that the browser lays out, or leaves out, together
const TYPES = ["LIQUIDATION_CASCADE", "FUNDING_ANOMALY", "FUNDING_REVERSAL", "VOLATILITY_REGIME", "REGIME_SHIFT", "CORRELATION_BREAK", "LEADERSHIP_CHANGE"];

export class EventStream {
  #shown = PAGE;
  #items = new Map(); // id -> { node, draw(event), at }
  #filter = { type: "", symbol: "", severity: "" };
  #chunks = []; // the oldest rows first
  #cursor = null;
  #isAtEnd = false;

  constructor() {
    this.list = h("div", { class: "events", role: "list", "aria-label": "Events, newest first" });
    this.count = h("p", { class: "quiet", role: "status" });
    this.more = h("button", { type: "button", class: "more", onclick: () => this.#showMore() }, "Show older");
    this.controls = h("div", { class: "controls", role: "group", "aria-label": "Filter events" },
      this.#choice("type", "Type", [...TYPES, "SYSTEM"]), this.#choice("symbol", "Symbol", []), this.#choice("severity", "Severity", ["CRITICAL", "WARNING", "INFO"]));
    this.node = h("section", { class: "panel stream", id: "events", "aria-labelledby": "events-title" },
      h("header", {}, h("h2", { id: "events-title" }, "Events"), this.count, this.controls),
      h("div", { class: "roll" }, this.list, this.more));
    view(["events"], () => this.#draw());
    view(["features"], () => this.#age());
    on("resumed", (how) => how === "lost" && this.#read());
    addEventListener("hashchange", () => this.#openHash());
    this.#read().then(() => this.#openHash());
  }

  open(id) {
    history.replaceState(null, "", `#${id}`);
    this.#openHash();
  }

  /** The event that the address names, as links in messages do (`?event=`) and those of this page (`#`). */
  async #openHash() {
    const id = location.hash.slice(1) || new URLSearchParams(location.search).get("event");
    if (!id?.startsWith("evt_")) return;
    if (!market.events.has(id)) await this.#fetchOne(id);
    if (!market.events.has(id)) return;
    for (const name of Object.keys(this.#filter)) this.#filter[name] = "";
    for (const select of this.controls.querySelectorAll("select")) select.value = "";
    this.#shown = Math.max(this.#shown, this.#chosen().findIndex((event) => event.id === id) + 1);
    this.#draw();
    const item = this.#items.get(id);
    await item?.toggle(true);
    item?.node.scrollIntoView({ block: "center" });
    item?.node.querySelector("button").focus();
  }

  async #fetchOne(id) {
    try {
      takeEvent((await get(`/api/events/${encodeURIComponent(id)}`)).event, true);
    } catch {
      setText(this.count, "That event is no longer stored.");
    }
  }

  async #read(cursor = null) {
    try {
      const page = await get("/api/events", { limit: PAGE, cursor });
      for (const event of page.events) takeEvent(event, true);
      this.#cursor = page.cursor;
      this.#isAtEnd = page.cursor === null;
      mark("events");
    } catch (error) {
      setText(this.count, `Older events cannot be read now: ${error.message}`);
    }
  }

  async #showMore() {
    this.more.disabled = true;
    this.#shown *= 2;
    if (this.#chosen().length < this.#shown && !this.#isAtEnd) await this.#read(this.#cursor);
    this.more.disabled = false;
    this.#draw();
  }

  #choice(name, title, values) {
    const select = h("select", { "data-filter": name, onchange: () => {
      this.#filter[name] = select.value;
      this.#shown = PAGE;
      this.#draw();
    } }, h("option", { value: "" }, `Any ${title.toLowerCase()}`), values.map((value) => h("option", { value }, phrase(value))));
    return h("label", {}, h("span", { class: "unseen" }, title), select);
  }

  #chosen() {
    const { type, symbol, severity } = this.#filter;
    const fits = (event) => (!type || event.event_type.startsWith(type)) && (!symbol || event.symbol === symbol) && (!severity || event.severity === severity);
    return [...market.events.values()].filter(fits).sort((a, b) => b.at - a.at);
  }

  #draw() {
    this.#offerSymbols();
    const chosen = this.#chosen();
    const nodes = chosen.slice(0, this.#shown).map((event) => {
      if (!this.#items.has(event.id)) this.#items.set(event.id, item(event.id));
      const made = this.#items.get(event.id);
      made.draw(event);
      return made.node;
    });
    this.#place(nodes);
    const open = chosen.filter((event) => event.phase !== "closed").length;
    setText(this.count, chosen.length ? `${chosen.length}${this.#isAtEnd ? "" : "+"}, ${open} open now` : this.#emptyWords());
    this.more.hidden = chosen.length <= this.#shown && (this.#isAtEnd || !market.events.size);
  }

  #emptyWords() {
    if (Object.values(this.#filter).some(Boolean)) return "None fits the filter.";
    return this.#isAtEnd ? "None yet: they appear here as they happen." : "Reading …";
  }

  /** Rows go into chunks counted from the oldest: a new one on top moves none of the others. */
  #place(nodes) {
    const focused = document.activeElement;
    const first = nodes.length % CHUNK;
    const slices = first ? [nodes.slice(0, first)] : [];
    for (let at = first; at < nodes.length; at += CHUNK) slices.push(nodes.slice(at, at + CHUNK));
    while (this.#chunks.length < slices.length) this.#chunks.push(h("div", { class: "chunk", role: "none" }));
    this.#chunks.length = slices.length;
    slices.reverse().forEach((slice, at) => arrange(this.#chunks[at], slice));
    arrange(this.list, [...this.#chunks].reverse());
    if (focused !== document.activeElement) focused.focus({ preventScroll: true });
  }

  #age() {
    this.#offerSymbols();
    for (const event of market.events.values()) if (event.phase !== "closed") this.#items.get(event.id)?.draw(event);
  }

  #offerSymbols() {
    const select = this.controls.querySelector("[data-filter=symbol]");
    const known = [...new Set([...symbols(), ...[...market.events.values()].map((event) => event.symbol)])];
    if (known.length === select.options.length - 1) return;
    const kept = select.value;
    select.replaceChildren(h("option", { value: "" }, "Any symbol"), ...known.sort().map((symbol) => h("option", { value: symbol }, symbol)));
    select.value = kept;
  }
}

function item(id) {
  const [level, time, name, title, phase] = [badge("info", ""), timeElement(0), h("span", { class: "symbol" }), h("span", { class: "title" }), h("span", { class: "phase" })];
  const button = h("button", { type: "button", class: "row", "aria-expanded": "false", onclick: () => toggle() }, time, level, name, title, phase);
  const node = h("div", { id, role: "listitem", "data-id": id }, button);
  let current = null;
  let opened = null;
  let isOpen = false;
  const toggle = async (open = !isOpen) => {
    if (open === isOpen) return;
    isOpen = open;
    setAttribute(button, "aria-expanded", open);
    opened?.node.remove();
    opened = null;
    if (!open) return;
    const { detail } = await import("./event-detail.js");
    if (!isOpen || opened) return;
    opened = detail(current);
    node.append(opened.node);
  };
  const draw = (event) => {
    if (event === current) return event.phase === "closed" ? undefined : drawPhase(phase, event);
    current = event;
    setAttribute(node, "data-revision", event.revision);
    setAttribute(node, "data-states", event.states.join());
    setTime(time, Date.parse(event.timestamp), now() - Date.parse(event.timestamp) > 43_200_000 ? "day" : "time");
    setBadge(level, levelOf(event.severity), event.severity);
    setText(name, event.symbol);
    setText(title, headline(event));
    setAttribute(node, "data-open", event.phase === "closed" ? "no" : levelOf(event.severity));
    drawPhase(phase, event);
    opened?.draw(event);
  };
  return { node, draw, toggle };
}

function drawPhase(place, event) {
  const end = event.phase === "closed" ? Date.parse(event.timestamp) : now();
  setText(place, `${event.phase === "closed" ? "lasted" : "open"} ${duration(end - Date.parse(event.started))}`);
}
