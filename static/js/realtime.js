// One symbol, second by second: how fast positions are liquidated, and each one that was seen.
import { get } from "./api.js";
import { startPage } from "./bar.js";
import { card } from "./cards.js";
import { outcome } from "./dialog.js";
import { arrange, badge, byId, h, row, setAttribute, setBadge, setText, timeElement } from "./dom.js";
import { onPreference, prefer, preference } from "./preferences.js";
import { market, nextFrame, now, symbols, takeFeatures, takeLiquidations, view } from "./store.js";
import { levelOf, tell } from "./truth.js";
import { isNumber, localTime, number, price, usd } from "./words.js";
import { whenReady } from "./waiting.js";

const SHOWN = 60;
const EVERYTHING = "ALL";
const LARGE_USD = 100_000; // stands out on the tape
const asked = new URLSearchParams(location.search).get("symbol");
if (asked) prefer("symbol", asked); // as links in messages ask
const { line } = startPage(Number(preference("pace")));
startPace();
whenReady(begin);

function startPace() {
  const select = byId("pace");
  select.value = preference("pace");
  select.onchange = () => prefer("pace", select.value);
  onPreference("pace", (value) => {
    select.value = value;
    line.pace(Number(value));
  });
}

/** What matters most is painted first. */
async function begin() {
  const told = outcome();
  const select = h("select", { id: "symbol", onchange: () => prefer("symbol", select.value) });
  const refresh = h("button", { type: "button", id: "refresh", onclick: () => refreshNow(told) }, "Refresh now");
  const place = h("div", { id: "now" });
  byId("content").append(
    h("section", { class: "panel", "aria-labelledby": "monitor-title" },
      h("header", {}, h("h2", { id: "monitor-title" }, "Live monitor"), h("div", { class: "controls" }, told, h("label", {}, "Symbol", select), refresh)), place));
  let shown = null;
  const draw = () => {
    offer(select);
    if (shown?.symbol !== select.value) {
      shown = { symbol: select.value, ...card(select.value) };
      place.replaceChildren(shown.node);
    }
    shown.draw();
  };
  view(["features"], draw);
  offer(select);
  choose(select);
  draw();
  await nextFrame();
  const meters = [
    meter("velocity", "Velocity", "fastest pace over 1, 4, 12 or 24 h", "velocity_usd_per_hour"),
    meter("intensity", "Intensity", "pace of the last minutes", "intensity_usd_per_hour"),
    meter("total", "Total", "seen in 24 h", "total_liquidation_usd"),
  ];
  const tape = liquidationTape();
  byId("content").append(h("section", { class: "meters", "aria-label": "Pace of liquidations" }, meters.map((each) => each.node)), tape.node);
  const drawMeters = () => meters.forEach((each) => each.draw(select.value));
  view(["features"], drawMeters);
  view(["tape"], () => tape.draw(select.value));
  onPreference("symbol", () => {
    choose(select);
    draw();
    drawMeters();
    tape.read(select.value);
  });
  drawMeters();
  readLimits(meters);
  tape.read(select.value);
}

function choose(select) {
  const wanted = preference("symbol");
  if ([...select.options].some((option) => option.value === wanted)) select.value = wanted;
}

function offer(select) {
  const values = [...symbols(), EVERYTHING];
  if (select.options.length === values.length) return;
  const kept = select.value;
  select.replaceChildren(...values.map((value) => h("option", { value }, value === EVERYTHING ? "Whole market" : value)));
  if (kept) select.value = kept;
}

async function refreshNow(told) {
  try {
    takeFeatures(await get("/api/features"));
    told.say(`Read at ${localTime(Date.now())}.`);
  } catch (error) {
    told.say(`Not read: ${error.message}`, true);
  }
}

/** A number with a gauge below it, full at twice what alerts. */
function meter(id, title, note, field) {
  const [big, gauge, mark] = [h("p", { class: "big" }), h("meter", { min: "0", max: "1", "aria-label": title }), badge("off", "")];
  const words = h("p", { class: "quiet" }, note);
  const node = h("section", { class: "panel meter", id, "aria-labelledby": `${id}-title` }, h("header", {}, h("h2", { id: `${id}-title` }, title), mark), big, h("div", { class: "gauge" }, gauge), words);
  let limit = null;
  const draw = (symbol) => {
    const signal = market.features.packages[symbol]?.cascades;
    const said = tell("cascades", signal, now());
    const value = signal?.[field]; // while it warms up the sum so far is true all the same: at least that much
    setText(big, isNumber(value) ? `${usd(value)}${field.endsWith("per_hour") ? "/h" : ""}` : said.word);
    const isOver = isNumber(value) && limit !== null && value >= limit;
    if (!isNumber(value) || limit === null) setBadge(mark, "off", isNumber(value) ? "no alert line" : said.word);
    else setBadge(mark, isOver ? "warning" : "calm", isOver ? "over the alert line" : "under the alert line");
    const share = isNumber(value) && limit ? Math.min(1, value / (2 * limit)) : 0;
    gauge.value = share;
    setText(gauge, isNumber(value) ? `${usd(value)}` : said.word);
  };
  return { node, field, draw, limitTo: (most) => {
    limit = most;
    Object.assign(gauge, { low: 0.5, high: 0.999, optimum: 0 });
    setText(words, `${note}; alerts from ${usd(most)}${field.endsWith("per_hour") ? "/h" : ""}`);
  } };
}

const LIMITS = {
  velocity_usd_per_hour: "liquidation.critical_velocity",
  intensity_usd_per_hour: "liquidation.critical_velocity",
  total_liquidation_usd: "liquidation.cascade_threshold_usd",
};

async function readLimits(meters) {
  try {
    const { settings } = await get("/api/config");
    for (const each of meters) {
      const found = settings.find(({ key }) => key.endsWith(LIMITS[each.field]));
      if (isNumber(found?.value)) each.limitTo(found.value);
    }
  } catch {
    // The gauges stay without a scale; the numbers are what counts.
  }
}

function liquidationTape() {
  const body = h("tbody");
  const empty = h("p", { class: "quiet" }, "None seen yet. Each liquidation appears here the moment it is published.");
  const head = ["Time", "Symbol", "Closed", "Price", "Size"].map((each, at) => h("th", { scope: "col", class: at > 2 ? "number" : null }, each));
  const table = h("table", { class: "tape" }, h("caption", { class: "unseen" }, "Liquidations, newest first"), h("thead", {}, h("tr", {}, head)), body);
  const list = h("div", { class: "scroll", tabindex: "0", role: "group", "aria-label": "Liquidations", hidden: true }, table);
  const node = h("section", { class: "panel", id: "tape", "aria-labelledby": "tape-title" }, h("header", {}, h("h2", { id: "tape-title" }, "Liquidations")), empty, list);
  const rows = new WeakMap();
  const draw = (symbol) => {
    const shown = market.tape.filter((each) => symbol === EVERYTHING || each.symbol === symbol).slice(0, SHOWN);
    empty.hidden = shown.length > 0;
    list.hidden = !empty.hidden;
    arrange(body, shown.map((each) => {
      if (!rows.has(each)) rows.set(each, tapeRow(each));
      return rows.get(each);
    }));
  };
  const read = async (symbol) => {
    try {
      const { liquidations } = await get("/api/liquidations", { symbol: symbol === EVERYTHING ? null : symbol, limit: SHOWN });
      const known = new Set(market.tape.map(keyOf));
      const older = liquidations.filter((each) => !known.has(keyOf(each)));
      const all = [...market.tape, ...older].sort((a, b) => a.ts_ms - b.ts_ms);
      market.tape = [];
      takeLiquidations(all);
    } catch {
      draw(symbol);
    }
  };
  return { node, draw, read };
}

const keyOf = (each) => `${each.ts_ms} ${each.venue} ${each.symbol} ${each.closed} ${each.fill_price} ${each.base_qty}`;

function tapeRow(each) {
  const node = row(timeElement(each.ts_ms), h("td", {}, each.symbol), h("td", { "data-closed": each.closed }, `${each.closed === "long" ? "▼" : "▲"} ${each.closed}`),
    h("td", { class: "number" }, price(each.fill_price)), h("td", { class: "number" }, usd(each.quote_usd)));
  node.toggleAttribute("data-large", each.quote_usd >= LARGE_USD);
  return node;
}
