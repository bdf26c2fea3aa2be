// Where alerts go: each endpoint with its breaker, each message with its tries, and what is silenced.
import { get, post, remove } from "./api.js";
import { startPage } from "./bar.js";
import { carryOut, outcome } from "./dialog.js";
import { badge, byId, h, row, timeElement } from "./dom.js";
import { replay, STATES } from "./event-detail.js";
import { isPaused, market, on, view } from "./store.js";
import { levelOf } from "./truth.js";
import { duration, number, phrase } from "./words.js";

const PAGE = 25;
const RELOAD_MS = 5000;
const OUTCOMES = { permanent: "refused for good", retry: "failed", ambiguous: "without answer" };
const PHASES = {
  closed: ["calm", "works"],
  half_open: ["warning", "being tried"],
  open: ["critical", "resting after failures"],
  parked: ["critical", "disabled"],
};

function begin() {
  const told = outcome();
  const endpoints = h("tbody");
  const silences = h("tbody");
  const list = new DeliveryList(told);
  byId("content").append(
    told,
    section("Endpoints", "endpoints", table("Endpoints", ["Name", "Kind", "Gets", "State", "Tries", "Messages", "Action"], endpoints)),
    list.node,
    section("Silences", "silences", table("Silences", ["Until", "Type", "Symbol", "Up to", "Why", "Action"], silences)));
  let reading = null;
  const read = () => {
    if (!document.hidden && !isPaused()) reading ??= readAll().finally(() => (reading = null));
    return reading;
  };
  const readAll = async () => {
    await Promise.all([readEndpoints(endpoints, told, read), list.read(), readSilences(silences, told, read)]).then(reveal, (error) => {
      reveal();
      told.say(`Not read: ${error.message}`, true);
    });
  };
  list.onchange = read;
  on("event", read);
  on("resumed", read);
  view(["pause"], () => isPaused() || read(), { always: true });
  setInterval(read, RELOAD_MS);
  document.addEventListener("visibilitychange", read);
  read();
}

function reveal() {
  byId("waiting").hidden = true;
  byId("content").hidden = false;
}

function section(title, id, content, controls = null) {
  return h("section", { class: "panel", id, "aria-labelledby": `${id}-title` }, h("header", {}, h("h2", { id: `${id}-title` }, title), controls),
    h("div", { class: "scroll", tabindex: "0", role: "group", "aria-label": title }, content));
}

function table(name, columns, body) {
  return h("table", { class: "stacks" }, h("caption", { class: "unseen" }, name), h("thead", {}, h("tr", {}, columns.map((each) => h("th", { scope: "col" }, each)))), body);
}

/** A cell that, where rows become blocks, stands behind the name of its column. */
const cell = (label, attributes, ...content) => h("td", { "data-label": label || null, ...attributes }, content);

/** Rows are put in only when something differs, so that a button under a finger or in focus stays where it is. */
function fill(body, items, build, none) {
  const key = JSON.stringify(items);
  if (body.dataset.key === key) return;
  const focus = body.contains(document.activeElement) ? document.activeElement.getAttribute("aria-label") : null;
  body.dataset.key = key;
  body.replaceChildren(...(items.length ? items.map(build) : [h("tr", {}, h("td", { colspan: "9", class: "quiet" }, none))]));
  if (focus) body.querySelector(`[aria-label="${CSS.escape(focus)}"]`)?.focus();
}

const writes = () => market.status?.writes !== false;
const button = (words, label, act) => h("button", { type: "button", "aria-label": label, disabled: !writes(), onclick: act }, words);
const counts = (map) => Object.entries(map).filter(([, count]) => count).map(([name, count]) => `${number(count, 0)} ${OUTCOMES[name] ?? name}`).join(", ") || "none";

async function readEndpoints(body, told, again) {
  const { endpoints } = await get("/api/endpoints");
  fill(body, endpoints, (each) => endpointRow(each, told, again), "No endpoint is configured: set WEBHOOKS_ALL to get alerts. See docs/webhooks.md.");
}

function endpointRow(each, told, again) {
  const [level, words] = PHASES[each.phase] ?? ["off", each.phase];
  const wait = each.hold_until_ms ? h("span", { class: "quiet" }, " until ", timeElement(each.hold_until_ms)) : null;
  const why = each.reason ? h("div", { class: "quiet" }, each.reason) : null;
  const isOff = each.phase === "parked" || each.phase === "open";
  return row(each.name, cell("Kind", {}, each.kind), cell("Gets", {}, each.routes.map((route) => (route === "ALL" ? "everything" : route.toLowerCase())).join(", ")), cell("", { class: "whole" }, badge(level, words), wait, why),
    cell("Tries", {}, counts(each.tries)), cell("Messages", {}, `${counts(each.ended)}${each.under_way ? `, ${each.under_way} under way` : ""}`),
    cell("", { class: "whole" }, h("div", { class: "buttons" }, button("Test", `Test ${each.name}`, () => test(each, told).then(again)),
      isOff ? button("Enable", `Enable ${each.name}`, () => enable(each, told).then(again)) : null)));
}

function test({ name, kind }, told) {
  const question = { title: `Send a test to ${name}?`, text: `One message, clearly marked as a test, goes to this ${kind} endpoint.`, action: "Send test" };
  return carryOut(question, told, async () => {
    const answer = await post(`/api/endpoints/${encodeURIComponent(name)}/test`);
    const code = answer.status_code ? `, status ${answer.status_code}` : "";
    return `${name}: ${answer.outcome}${code}, after ${answer.duration_ms} ms. ${answer.note}`;
  });
}

function enable({ name }, told) {
  const question = { title: `Enable ${name}?`, text: "What waits for it is sent now.", action: "Enable" };
  return carryOut(question, told, async () => {
    await post(`/api/endpoints/${encodeURIComponent(name)}/enable`);
    return `${name} is enabled.`;
  });
}

class DeliveryList {
  #open = new Map(); // id -> its tries
  #limit = PAGE;

  constructor(told) {
    this.told = told;
    this.body = h("tbody");
    this.status = h("select", { id: "status", onchange: () => this.onchange() }, h("option", { value: "" }, "All"), Object.keys(STATES).map((value) => h("option", { value }, phrase(value))));
    this.more = h("button", { type: "button", class: "more", onclick: () => {
      this.#limit = Math.min(500, this.#limit * 2);
      this.onchange();
    } }, "Show older");
    const columns = ["When", "Message", "To", "State", "Tries", "Action"];
    this.node = section("Messages", "messages", [table("Messages, newest first", columns, this.body), this.more], h("div", { class: "controls" }, h("label", {}, "State", this.status)));
  }

  async read() {
    const { deliveries, cursor } = await get("/api/deliveries", { status: this.status.value, limit: this.#limit });
    this.more.hidden = cursor === null;
    fill(this.body, deliveries, (each) => this.#row(each), "Nothing was sent yet. A message appears here when an event goes to an endpoint.");
  }

  #row(each) {
    const next = each.status === "pending" && each.attempt ? h("span", { class: "quiet" }, " next ", timeElement(each.next_at_ms)) : null;
    const tries = h("div", { class: "quiet" });
    const show = button(each.attempt === 1 ? "1 try" : `${each.attempt} tries`, `Tries of ${each.title} to ${each.endpoint}`, () => this.#toggle(each, tries, show));
    show.disabled = !each.attempt;
    show.setAttribute("aria-expanded", this.#open.has(each.id));
    if (this.#open.has(each.id)) tries.append(...this.#open.get(each.id));
    const again = each.status === "dead" || each.status === "expired" ? button("Replay", `Replay ${each.title} to ${each.endpoint}`, () => replay(each, this.told).then(() => this.onchange())) : null;
    const node = row(timeElement(each.created_ms, "day"), cell("", { class: "whole" }, h("div", { class: "message" }, badge(levelOf(each.severity), each.severity), h("a", { href: `/#${each.event_id}` }, each.title), each.is_replay ? " (replay)" : "")), cell("To", {}, each.endpoint),
      cell("", {}, badge(STATES[each.status] ?? "off", each.status), next), cell("", {}, show, tries), cell("", {}, again));
    node.dataset.id = each.id;
    return node;
  }

  async #toggle(each, place, control) {
    const isOpen = this.#open.delete(each.id);
    control.setAttribute("aria-expanded", !isOpen);
    place.replaceChildren();
    if (isOpen) return;
    const { attempts } = await get(`/api/deliveries/${encodeURIComponent(each.id)}`);
    const lines = attempts.map(attemptLine);
    this.#open.set(each.id, lines);
    place.append(...lines);
  }
}

function attemptLine(attempt) {
  const code = attempt.status_code ? ` ${attempt.status_code}` : "";
  return h("p", {}, timeElement(attempt.started_ms), ` ${attempt.outcome}${code}, ${duration(attempt.duration_ms)} ${attempt.note ?? ""}`);
}

async function readSilences(body, told, again) {
  const { silences } = await get("/api/silences");
  fill(body, silences.filter((each) => each.active), (each) => silenceRow(each, told, again), "Nothing is silenced.");
}

function silenceRow(each, told, again) {
  const question = { title: "End this silence?", text: "Events it held back are sent again from now on.", action: "End silence" };
  const end = () => carryOut(question, told, async () => {
    await remove(`/api/silences/${encodeURIComponent(each.id)}`);
    return "The silence has ended.";
  }).then(again);
  return row(timeElement(each.until_ms, "day"), cell("Type", {}, each.event_type ? phrase(each.event_type) : "every type"), cell("Symbol", {}, each.symbol || "every symbol"), cell("Up to", {}, each.up_to),
    cell("Why", {}, each.comment || "–"), cell("", {}, button("End", `End the silence of ${each.symbol || "everything"}`, end)));
}

startPage();
begin();
