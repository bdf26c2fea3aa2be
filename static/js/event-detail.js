// Everything about one event: why it fired, its record, where it was sent, and how to silence its like.
import { get, post } from "./api.js";
import { badge, h, timeElement } from "./dom.js";
import { carryOut, outcome } from "./dialog.js";
import { market } from "./store.js";
import { datum, duration, label, number, percent, phrase, price, usd } from "./words.js";

const SPANS = [1, 4, 24];
const HOW_KNOWN = ["n", "needed", "coverage"]; // how much the numbers rest on stands behind them
const UNSENT = { suppress: "not sent", digest: "kept for the digest", hold: "held for a moment" };
export const STATES = { delivered: "calm", pending: "info", superseded: "off", expired: "warning", dead: "critical" };

export function detail(event) {
  const node = h("div", { class: "detail" });
  const told = outcome();
  const sent = h("div", {}, h("p", { class: "quiet" }, "Reading …"));
  const record = h("div", {}, h("p", { class: "quiet" }, "Reading …"));
  const draw = (newer) => {
    const words = h("p", { class: "quiet" }, newer.narrative || newer.description || "");
    node.replaceChildren(
      h("div", { class: "wide" }, h("h3", {}, "Why"), h("p", {}, newer.why), words),
      part("When", h("p", {}, "began ", timeElement(Date.parse(newer.started), "day"), newer.phase === "opened" ? null : [`, ${newer.phase} `, timeElement(Date.parse(newer.timestamp), "day"), ` after ${duration(Date.parse(newer.timestamp) - Date.parse(newer.started))}`])),
      part("Track record", record),
      part("Deliveries", sent),
      h("div", { class: "wide" }, h("h3", {}, "Data"), facts(newer.data)),
      h("div", { class: "wide" }, h("h3", {}, "Silence its like"), silenceButtons(newer, told), told),
    );
    readDeliveries(newer, sent, words, told);
    readRecord(newer, record);
  };
  draw(event);
  return { node, draw };
}

const part = (title, ...content) => h("div", {}, h("h3", {}, title), content);

/** Each field of an event's data: numbers side by side, lists of records on lines of their own. */
export function facts(data) {
  const entries = Object.entries(data ?? {}).filter(([, value]) => value !== null && !(Array.isArray(value) && !value.length));
  if (!entries.length) return h("p", { class: "quiet" }, "None.");
  const isShort = ([, value]) => typeof value !== "object" || isPlainList(value);
  const long = entries.filter((entry) => !isShort(entry));
  const short = entries.filter((entry) => isShort(entry) && !HOW_KNOWN.includes(entry[0]));
  const how = entries.filter(([name]) => HOW_KNOWN.includes(name));
  return h("dl", { class: "facts" }, [...short, ...how, ...long].map(([name, value]) => {
    const isWide = long.some(([each]) => each === name);
    const records = isWide && (Array.isArray(value) ? value.map((each) => record(name, each)) : Object.entries(value).map(([key, each]) => `${label(key)}: ${datum(key, each)}`));
    return h("div", { class: isWide ? "wide" : null }, h("dt", {}, label(name)), h("dd", {}, isWide ? h("ul", {}, records.map((each) => h("li", {}, each))) : datum(name, value)));
  }));
}

const isPlainList = (value) => Array.isArray(value) && value.every((each) => typeof each !== "object");

function record(name, value) {
  if (typeof value?.price !== "number" || typeof value?.notional_usd !== "number") return datum(name, value);
  return `${price(value.price)}: ${usd(value.notional_usd)}, from ${value.source ?? "unknown"}`;
}

function silenceButtons(event, told) {
  if (market.status && !market.status.writes) return h("p", { class: "quiet" }, "This server takes no changes from the page.");
  const button = (hours) => h("button", { type: "button", onclick: () => silence(event, hours, told) }, `${hours} h`);
  return h("div", { class: "buttons", role: "group", "aria-label": "Silence events like this" }, SPANS.map(button));
}

function silence(event, hours, told) {
  const question = {
    title: `Silence for ${hours} h?`,
    text: `${phrase(event.event_type)} of ${event.symbol} will still be stored and shown here, but not sent to anybody for ${hours} h of market time.`,
    action: "Silence",
    field: { label: "Why (optional)" },
  };
  return carryOut(question, told, async (comment) => {
    await post("/api/silences", { hours, event_type: event.event_type, symbol: event.symbol, comment });
    return `Silenced for ${hours} h. The page Deliveries lists silences and ends them.`;
  });
}

async function readDeliveries(event, place, words, told) {
  try {
    const { event: whole, decisions, deliveries } = await get(`/api/events/${encodeURIComponent(event.id)}`);
    if (whole?.narrative) words.textContent = whole.narrative;
    const lines = byEndpoint(deliveries).map((each) => deliveryLine(each, told));
    const unsent = decisions.filter((each) => each.action in UNSENT).slice(-3);
    lines.push(...unsent.map((each) => h("li", { class: "quiet" }, `${each.endpoint}: ${UNSENT[each.action]}, ${each.words}`)));
    place.replaceChildren(lines.length ? h("ul", {}, lines) : h("p", { class: "quiet" }, "Sent to nobody: no endpoint takes it."));
  } catch (error) {
    place.replaceChildren(h("p", { class: "quiet" }, `Not known now: ${error.message}`));
  }
}

/** The newest message to each endpoint, and how many went before it. */
function byEndpoint(deliveries) {
  const found = new Map();
  for (const each of [...deliveries].sort((a, b) => b.created_ms - a.created_ms || b.revision - a.revision)) {
    const known = found.get(each.endpoint);
    if (known) known.count += 1;
    else found.set(each.endpoint, { ...each, count: 1 });
  }
  return [...found.values()].sort((a, b) => a.endpoint.localeCompare(b.endpoint));
}

function deliveryLine(each, told) {
  const tries = each.attempt > 1 ? `, ${each.attempt} tries` : "";
  const states = each.count > 1 ? `, ${each.count} messages so far` : "";
  const line = h("li", {}, badge(STATES[each.status] ?? "off", each.status), ` ${each.endpoint}${states}${tries} `);
  if (each.status !== "dead" && each.status !== "expired") return line;
  line.append(h("button", { type: "button", onclick: () => replay(each, told) }, "Replay"));
  return line;
}

export function replay(delivery, told) {
  const question = { title: "Send again?", text: `“${delivery.title}” goes to ${delivery.endpoint} once more, marked as a replay.`, action: "Replay" };
  return carryOut(question, told, async () => {
    await post(`/api/deliveries/${encodeURIComponent(delivery.id)}/replay`);
    return "It is on its way again.";
  });
}

/** What followed earlier events like this one, and how many of its type there were lately. */
async function readRecord({ event_type: type, track_record: known }, place) {
  const parts = [];
  if (known?.words) {
    const { words, like_this: like, since, until, shipped } = known;
    parts.push(h("p", {}, words), h("p", { class: "quiet" }, `${like.replace(/^[A-Z_]+/, phrase)}; ${since.slice(0, 10)} to ${until.slice(0, 10)}, ${shipped ? "public data" : "your own events"}.`));
  }
  try {
    const { days, tracks } = await get("/api/score");
    const track = tracks.find((each) => each.event_type === type);
    parts.push(h("p", { class: parts.length ? "quiet" : null }, track ? recordOf(track, days) : `No other of its kind in ${days} days.`));
  } catch (error) {
    parts.push(h("p", { class: "quiet" }, `Not known now: ${error.message}`));
  }
  place.replaceChildren(...parts);
}

function recordOf({ episodes, open, by_severity: severity, median_hours: hours }, days) {
  const grave = severity.CRITICAL ? `, ${percent(severity.CRITICAL / episodes, 0)} critical` : "";
  const length = hours === null ? "" : `; half of them ended within ${duration(hours * 3_600_000)}`;
  return `${episodes} of its kind in ${days} days${grave}, ${open} open${length}.`;
}
