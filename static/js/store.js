// What this tab knows, and when it draws: a change marks what shows it, and one animation frame redraws all that is
// marked. Nothing is drawn while the tab is hidden or paused.

import { merged } from "./line.js";

const KEPT_EVENTS = 10_000;
const KEPT_TAPE = 300;
const SLICE_MS = 12;

export const market = {
  features: null, // { timestamp, market, packages: { symbol: package }, prices: { symbol: { price } } }
  status: null,
  link: { state: "connecting", since: Date.now() },
  events: new Map(), // id -> { ...newest state, at: when it came, ms, states: [revision, ...] }
  tape: [],
};

const views = new Map(); // topic -> [draw, ...]
const listeners = new Map(); // topic -> [listener, ...]
const marked = new Set();
let frame = 0;
let paused = false;
let missed = 0;

export const WHOLE = "ALL"; // the package that stands for the whole market
export const symbols = () => Object.keys(market.features?.packages ?? {}).filter((symbol) => symbol !== WHOLE);
const isAnyReady = (known) => Object.values(known).some((signal) => signal?.ready);
/** Whether any signal has a value, or alerts already; without one, NORMAL would be a guess. */
export const isJudged = () => Boolean(market.features) && (market.features.market.state !== "NORMAL" || Object.values(market.features.packages).some(isAnyReady));
/** Whether there is anything to show: that, or one price. */
export const isKnown = () => isJudged() || Object.keys(market.features?.prices ?? {}).length > 0;
export const now = () => (market.features ? Date.parse(market.features.timestamp) : Date.now());

/** Redraw with `draw` when a topic changes: features, status, link, events, tape, pause. `always`: even while paused. */
export function view(topics, draw, { always = false } = {}) {
  const entry = { draw, always };
  for (const topic of topics) views.set(topic, [...(views.get(topic) ?? []), entry]);
}

/** Let the browser paint, and answer whoever waits, before going on. */
export const nextFrame = () => new Promise((done) => requestAnimationFrame(() => setTimeout(done)));

export function on(topic, listener) {
  listeners.set(topic, [...(listeners.get(topic) ?? []), listener]);
}

export function mark(topic) {
  for (const entry of views.get(topic) ?? []) marked.add(entry);
  if (!frame && !document.hidden) frame = requestAnimationFrame(draw);
}

/** What does not fit into a frame follows in the next one: a slow phone answers a hand in between. */
function draw() {
  frame = 0;
  if (document.hidden) return;
  const end = performance.now() + SLICE_MS;
  for (const entry of [...marked]) {
    if (paused && !entry.always) continue;
    if (performance.now() > end) {
      frame = requestAnimationFrame(draw);
      return;
    }
    marked.delete(entry);
    entry.draw();
  }
}

document.addEventListener("visibilitychange", () => {
  if (!document.hidden && marked.size) frame ||= requestAnimationFrame(draw);
});

export const isPaused = () => paused;
export const missedEvents = () => missed;

export function pause(yes) {
  paused = yes;
  missed = 0;
  mark("pause");
  if (!yes) frame ||= requestAnimationFrame(draw);
}

function tell(topic, item) {
  for (const listener of listeners.get(topic) ?? []) listener(item);
}

export function take(message) {
  if (message.kind === "link") {
    market.link = { state: message.state, since: message.since };
    mark("link");
  } else if (message.kind === "features") takeFeatures(message.features);
  else if (message.kind === "event") takeEvent(message.event, message.again);
  else if (message.kind === "liquidation") takeLiquidations(message.liquidations);
  else if (message.kind === "status") {
    market.status = message.status;
    mark("status");
  } else if (message.kind === "resumed") tell("resumed", message.resume);
}

export function takeFeatures(features) {
  market.features = merged(market.features, features);
  mark("features");
  tell("features");
}

/** Keep the newest state of an episode. `again`: it was known to the line before, so nobody is told of it aloud. */
export function takeEvent(event, again = false) {
  const known = market.events.get(event.id);
  if (known?.states.includes(event.revision)) return;
  const states = [...(known?.states ?? []), event.revision];
  if (known && known.revision > event.revision) {
    known.states = states;
    return;
  }
  market.events.set(event.id, { ...event, states, at: Date.parse(event.timestamp) });
  if (market.events.size > KEPT_EVENTS * 1.1) forgetOldest();
  if (paused) missed += 1;
  mark("events");
  mark("pause");
  if (!again) tell("event", market.events.get(event.id));
}

export function takeLiquidations(items) {
  market.tape.unshift(...[...items].reverse());
  market.tape.length = Math.min(market.tape.length, KEPT_TAPE);
  mark("tape");
  tell("liquidations", items);
}

function forgetOldest() {
  const newest = [...market.events.values()].sort((a, b) => b.at - a.at);
  market.events = new Map(newest.slice(0, KEPT_EVENTS).map((event) => [event.id, event]));
}
