// What every page has: the bar, the headline, and the line to the service.
import { get } from "./api.js";
import { connect } from "./connection.js";
import { byId, h, setAttribute, setBadge, setText, timeElement } from "./dom.js";
import { onPreference, prefer, preference } from "./preferences.js";
import { isJudged, isPaused, market, missedEvents, on, pause, take, takeFeatures, view } from "./store.js";
import { liveness, marketLevel, marketWhy } from "./truth.js";
import { startVoice } from "./voice.js";
import { localTime } from "./words.js";

const clock = (ms) => localTime(ms, "short");
const utc = (ms) => `${new Date(ms).toISOString().slice(0, 19).replace("T", " ")} UTC`;

/** seconds: how often the page wants readings, null for the visitor's choice. */
export function startPage(seconds = null) {
  const line = connect(take, seconds ?? Number(preference("interval")));
  startEarly();
  startTheme();
  startPause();
  if (byId("interval")) startInterval(line);
  const say = startVoice();
  startLiveness(say);
  startHeadline(say);
  startLinks();
  return { line, say };
}

/** What the line says first is asked for while it is still being laid; each page preloads these two. */
async function startEarly() {
  try {
    const [status, features] = await Promise.all([get("/api/status"), get("/api/features")]);
    if (market.features) return;
    take({ kind: "status", status });
    takeFeatures(features);
  } catch {
    // The line will tell.
  }
}

function startTheme() {
  const select = byId("theme");
  const apply = (theme) => {
    setAttribute(document.documentElement, "data-theme", theme === "system" ? null : theme);
    select.value = theme;
    dispatchEvent(new Event("themechange"));
  };
  select.onchange = () => prefer("theme", select.value);
  onPreference("theme", apply);
  apply(preference("theme"));
  matchMedia("(prefers-color-scheme: dark)").addEventListener("change", () => dispatchEvent(new Event("themechange")));
}

function startInterval(line) {
  const select = byId("interval");
  select.value = preference("interval");
  select.onchange = () => prefer("interval", select.value);
  onPreference("interval", (value) => {
    select.value = value;
    line.pace(Number(value));
  });
}

function startPause() {
  const button = byId("pause");
  button.onclick = () => pause(!isPaused());
  view(["pause"], () => {
    const count = missedEvents();
    setAttribute(button, "aria-pressed", isPaused());
    setText(button, isPaused() && count ? `Paused, ${count} new` : isPaused() ? "Paused" : "Pause");
  }, { always: true });
}

function startLiveness(say) {
  const place = byId("live");
  let before = "";
  const draw = () => {
    const { level, text, coarse, since } = liveness(market.link, market.status, clock);
    setBadge(place, level, text);
    setAttribute(document.documentElement, "data-link", market.link.state);
    setAttribute(place, "title", since ? `since ${utc(since)}` : "time between the newest message of the exchange and now");
    if (before && coarse !== before) say(coarse);
    if (before || coarse === "live") before = coarse;
  };
  view(["link", "status"], draw, { always: true });
}

function startHeadline(say) {
  const badge = byId("market");
  let before = "";
  view(["features"], () => {
    if (!isJudged()) {
      setBadge(badge, "off", "unknown");
      setText(byId("summary"), "No signal has a value yet, so the state of the market is not known.");
      return;
    }
    const { state } = market.features.market;
    const why = `Market ${state} · ${marketWhy(market.features.market)}.`;
    setBadge(badge, marketLevel(state), state);
    setAttribute(badge, "title", why);
    setText(byId("summary"), why);
    if (before && state !== before) say(`The market is now ${state}`);
    before = state;
    document.title = document.title.replace(/^(\w+ · )?/, `${state} · `);
  }, { always: true });
  view(["events"], drawBanner, { always: true });
  onPreference("dismissed", drawBanner);
  on("resumed", (how) => how === "lost" && say("some events were missed; the list is being read again"));
}

/** Pages that only some services have, such as the inbox of the demo, and how fast its time runs. */
function startLinks() {
  const list = document.querySelector(".bar nav ul");
  view(["status"], () => {
    const { links, speed } = market.status;
    for (const [name, path] of Object.entries(links ?? {})) {
      if (!/^\/[a-z]/.test(path) || list.querySelector(`a[href="${CSS.escape(path)}"]`)) continue;
      list.append(h("li", {}, h("a", { href: path }, name)));
    }
    if (speed !== 1 && !byId("speed")) byId("live").after(h("span", { class: "speed", id: "speed", title: "How fast the time of this made-up market runs" }, `time ×${speed}`));
  }, { always: true });
}

/** The newest open CRITICAL episode that nobody has put away. */
function drawBanner() {
  const dismissed = new Set(preference("dismissed").split(","));
  const open = [...market.events.values()].filter((event) => event.severity === "CRITICAL" && event.phase !== "closed");
  const shown = open.filter((event) => !dismissed.has(event.id)).sort((a, b) => Date.parse(b.started) - Date.parse(a.started));
  const place = byId("headline");
  const banner = place.querySelector(".banner");
  const key = shown.map((event) => `${event.id}.${event.revision}`).join();
  if (banner?.dataset.key === key) return;
  banner?.remove();
  byId("summary").classList.toggle("behind", shown.length > 0);
  if (!shown.length) return;
  const [newest, ...others] = shown;
  const more = others.length ? ` And ${others.length} more.` : "";
  place.append(
    h("section", { class: "banner", "aria-label": "Critical event", "data-key": key },
      h("span", { "aria-hidden": "true" }, "■"),
      h("p", { class: "what" }, "CRITICAL since ", timeElement(Date.parse(newest.started), "short"), `: ${newest.title}.${more}`),
      h("a", { href: `/#${newest.id}` }, "Open"),
      h("button", { type: "button", onclick: () => prefer("dismissed", [...shown.map((event) => event.id), ...dismissed].slice(0, 50).join()) }, "Dismiss"),
    ),
  );
}
