// Everything about one event: why it fired, its record, where it was sent, and how to silence its like.
import { get, post } from "./api.js";
import { badge, h, timeElement } from "./dom.js";
import { carryOut, outcome } from "./dialog.js";
import { market } from "./store.js";
import { datum, number, percent, phrase } from "./words.js";

const SPANS = [1, 4, 24];
const UNSENT = { suppress: "not sent", digest: "kept for the digest", hold: "held for a moment" };
export const STATES = { delivered: "calm", pending: "info", superseded: "off", expired: "warning", dead: "critical" };

export function detail(event) {
  const node = h("div", { class: "detail" });
  const told = outcome();
  const sent = h("div", {}, h("p", { class: "quiet" }, "Reading …"));
  const record = h("div", {}, h("p", { class: "quiet" }, "Reading …"));
  const draw = (newer) => {
    node.replaceChildren(
      part("Why", h("p", {}, newer.why), newer.description ? h("p", { class: "quiet" }, newer.description) : null),
      part("When", h("p", {}, "began ", timeElement(Date.parse(newer.started), "day"), `, ${newer.phase} `, timeElement(Date.parse(newer.timestamp), "day"))),
      part("Track record", record),
      part("Deliveries", sent),
      h("div", { class: "wide" }, h("h3", {}, "Data"), facts(newer.data)),
      h("div", { class: "wide" }, h("h3", {}, "Silence"), silenceButtons(newer, told), told),
    );
    readDeliveries(newer, sent, told);
    readRecord(newer, record);
  };
  draw(event);
  return { node, draw };
}

const part = (title, ...content) => h("div", {}, h("h3", {}, title), content);

export function facts(data) {
  const entries = Object.entries(data ?? {});
  if (!entries.length) return h("p", { class: "quiet" }, "None.");
  const isLong = (value) => Array.isArray(value) ? value.some((each) => typeof each === "object") : value && typeof value === "object";
  return h("dl", { class: "facts" }, entries.map(([name, value]) => h("div", { class: isLong(value) ? "wide" : null }, h("dt", {}, name.replaceAll("_", " ")), h("dd", {}, datum(name, value)))));
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

async function readDeliveries(event, place, told) {
  try {
    const { decisions, deliveries } = await get(`/api/events/${encodeURIComponent(event.id)}`);
    const lines = deliveries.map((each) => deliveryLine(each, told));
    const unsent = decisions.filter((each) => each.action in UNSENT).slice(-3);
    lines.push(...unsent.map((each) => h("li", { class: "quiet" }, `${each.endpoint}: ${UNSENT[each.action]}, ${each.words}`)));
    place.replaceChildren(lines.length ? h("ul", {}, lines) : h("p", { class: "quiet" }, "Sent to nobody: no endpoint takes it."));
  } catch (error) {
    place.replaceChildren(h("p", { class: "quiet" }, `Not known now: ${error.message}`));
  }
}

function deliveryLine(each, told) {
  const line = h("li", {}, badge(STATES[each.status] ?? "off", each.status), ` ${each.endpoint}, ${each.attempt} ${each.attempt === 1 ? "try" : "tries"} `);
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

async function readRecord(event, place) {
  if (event.track_record) {
    place.replaceChildren(facts(event.track_record));
    return;
  }
  try {
    const { days, tracks } = await get("/api/score");
    const track = tracks.find((each) => each.event_type === event.event_type);
    if (!track) place.replaceChildren(h("p", { class: "quiet" }, `No other of its kind in ${days} days.`));
    else place.replaceChildren(h("p", {}, recordOf(track, days)));
  } catch (error) {
    place.replaceChildren(h("p", { class: "quiet" }, `Not known now: ${error.message}`));
  }
}

function recordOf({ episodes, open, by_severity: severity, median_hours: hours }, days) {
  const grave = severity.CRITICAL ? `, ${percent(severity.CRITICAL / episodes, 0)} critical` : "";
  const length = hours === null ? "" : `; half of them ended within ${number(hours, 1)} h`;
  return `${episodes} of its kind in ${days} days${grave}, ${open} open${length}.`;
}
