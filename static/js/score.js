// What followed events of each kind; loaded when somebody asks for it.
import { get } from "./api.js";
import { h } from "./dom.js";
import { number, phrase } from "./words.js";

const HOURS = 24;
const OUTCOMES = ["volatility", "return", "drawdown"];

/** Draw the table into a place. */
export async function showScore(place) {
  try {
    const { measured } = await get("/api/score");
    if (!measured?.groups.length) place.replaceChildren(h("p", { class: "quiet" }, "Nothing was measured yet: `regimes score` does it."));
    else place.replaceChildren(about(measured), table(measured));
  } catch (error) {
    place.replaceChildren(h("p", { class: "quiet" }, `Not known now: ${error.message}`));
  }
}

function about({ events, from_ms: from, to_ms: to, shipped }) {
  const day = (ms) => new Date(ms).toISOString().slice(0, 10);
  const whose = shipped ? "of public data that came with the program" : "of your own";
  return h("p", { class: "quiet" }, `${number(events, 0)} events ${whose}, ${day(from)} to ${day(to)}, against times of the same hour of the week and volatility without such an event. 1x is as usual. In brackets the 95 % interval; bold: beyond chance with the whole table considered.`);
}

function table({ groups }) {
  const pooled = groups.filter((group) => group.symbol === "");
  const head = h("tr", {}, ["events like", "n", ...OUTCOMES.map((name) => `${name} ${HOURS} h`)].map((name) => h("th", { scope: "col" }, name)));
  const rows = pooled.map((group) => {
    const cells = OUTCOMES.map((name) => h("td", {}, cell(group.effects.find((each) => each.outcome === name && each.horizon_hours === HOURS))));
    return h("tr", {}, h("th", { scope: "row" }, `${phrase(group.event_type)} ${group.variant.replaceAll("_", " ").toLowerCase()}`), h("td", {}, number(group.events, 0)), cells);
  });
  return h("div", { class: "scroll", tabindex: "0", role: "region", "aria-label": "What followed each kind of event" }, h("table", {}, h("caption", { class: "unseen" }, "What followed each kind of event"), h("thead", {}, head), h("tbody", {}, rows)));
}

function cell(effect) {
  if (!effect?.n) return "-";
  if (typeof effect.effect !== "number" || !effect.ci) return "too few";
  const say = effect.scale === "ratio" ? (value) => `${number(value, 2, 2)}x` : (value) => `${value > 0 ? "+" : ""}${number(value * 100, 2, 2)} %`;
  const words = `${say(effect.effect)} (${effect.ci.map(say).join(" to ")})`;
  return effect.n >= 20 && effect.free >= 0.5 && effect.q !== null && effect.q <= 0.05 ? h("strong", {}, words) : words;
}
