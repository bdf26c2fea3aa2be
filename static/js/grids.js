// The tables below the chart: regimes by timeframe, correlations by pair, funding against its usual band.
import { arrange, badge, h, setAttribute, setBadge, setText } from "./dom.js";
import { market, now, symbols, WHOLE } from "./store.js";
import { regimeLevel, tell } from "./truth.js";
import { isNumber, number, percent, signed } from "./words.js";

const SVG = "http://www.w3.org/2000/svg";
const WIDEST_Z = 4; // the strip ends at four standard deviations on either side

class Rows {
  constructor(body, build) {
    this.body = body;
    this.build = build;
    this.rows = new Map();
  }

  draw(keys) {
    const nodes = keys.map((key) => {
      if (!this.rows.has(key)) this.rows.set(key, this.build(key));
      const made = this.rows.get(key);
      made.draw();
      return made.node;
    });
    arrange(this.body, nodes);
  }
}

export function timeframeGrid(timeframes) {
  const body = h("tbody");
  const rows = new Rows(body, (symbol) => {
    const cells = timeframes.map(() => ({ mark: badge("off", ""), note: h("span", { class: "quiet" }) }));
    const sum = h("td", { class: "whole", "data-label": "Together" });
    const node = h("tr", { "data-symbol": symbol }, h("th", { scope: "row" }, symbol), cells.map(({ mark, note }, at) => h("td", { "data-label": timeframes[at] }, mark, note)), sum);
    const draw = () => {
      const signal = market.features.packages[symbol]?.regimes;
      timeframes.forEach((timeframe, at) => drawFrame(cells[at], signal, timeframe));
      const whole = tell("regimes", signal, now());
      setText(sum, signal?.ready ? `${whole.word}, ${percent(signal.confidence, 0)}` : whole.word);
    };
    return { node, draw };
  });
  const head = h("thead", {}, h("tr", {}, h("th", { scope: "col" }, "Symbol"), timeframes.map((each) => h("th", { scope: "col" }, each)), h("th", { scope: "col" }, "Together")));
  const key = h("p", { class: "quiet" }, "z of the closed bar → of the bar so far");
  const node = panel("Regimes by timeframe", "timeframes", [h("table", { class: "frames stacks" }, caption("Regime of each symbol on each timeframe"), head, body)], key);
  return { node, draw: () => rows.draw(symbols()) };
}

function drawFrame({ mark, note }, signal, timeframe) {
  const frame = signal?.timeframes?.[timeframe];
  const draft = signal?.provisional?.[timeframe];
  if (!frame?.regime) setBadge(mark, "off", frame ? frame.status : "no data");
  else setBadge(mark, regimeLevel(frame.regime), frame.status === "ok" ? frame.regime.replace("SPOT_", "") : `${frame.status}: ${frame.regime.replace("SPOT_", "")}`);
  setText(note, isNumber(frame?.price_z) ? `${signed(frame.price_z, 1)}${draft && isNumber(draft.price_z) ? ` → ${signed(draft.price_z, 1)}` : ""}` : "");
}

export function correlationMatrix() {
  const table = h("table", { class: "matrix" });
  const note = h("p", { class: "quiet", id: "leader" });
  const node = panel("Correlations, 7 days", "correlations", [table], note);
  const wide = 8; // assets that no longer fit beside the funding strip
  let cells = [];
  let drawn = "";
  const draw = () => {
    const signal = market.features.packages[WHOLE]?.correlations;
    const said = explainCorrelations(signal);
    setText(note, said);
    const assets = signal?.assets ?? [];
    if (assets.join() !== drawn) {
      drawn = assets.join();
      cells = buildMatrix(table, assets);
      node.classList.toggle("broad", assets.length > wide);
    }
    for (const cell of cells) drawCell(cell, signal);
  };
  return { node, draw };
}

function explainCorrelations(signal) {
  const missing = signal?.ready ? null : tell("correlations", signal, now());
  if (missing) return `${missing.word}. ${missing.note}`;
  const leader = signal.leading_asset ? `${signal.leading_asset} leads ${signal.lagging_assets.join(", ")}.` : "No asset leads.";
  const broken = signal.breaks.length ? `Broken: ${signal.breaks.join(", ")}.` : "No break.";
  if (!signal.matrix) return `${broken} ${leader} The matrix is shown for up to 40 symbols.`;
  return `${signal.stale ? "Stale. " : ""}${broken} ${leader}`;
}

function buildMatrix(table, assets) {
  const cells = [];
  const head = h("tr", {}, h("td", {}, ""), assets.map((each) => h("th", { scope: "col" }, each)));
  const rows = assets.map((one, row) => h("tr", {}, h("th", { scope: "row" }, one), assets.map((other, column) => {
    if (row === column) return h("td", {}, "1");
    const pair = row < column ? `${one}/${other}` : `${other}/${one}`;
    const cell = { pair, row, column, now: h("span"), change: h("small"), node: h("td") };
    cell.node.append(cell.now, cell.change);
    cells.push(cell);
    return cell.node;
  })));
  table.replaceChildren(caption("Correlation of each pair over 7 days, and its change against the 30 days before"), h("thead", {}, head), h("tbody", {}, rows));
  return cells;
}

function drawCell(cell, signal) {
  const value = signal?.matrix?.[cell.row]?.[cell.column];
  const change = signal?.change?.[cell.pair];
  const isBroken = signal?.breaks?.includes(cell.pair);
  setText(cell.now, number(value, 2, 2));
  setText(cell.change, `${isBroken ? "■ broken " : ""}${isNumber(change) ? signed(change) : ""}`);
  setAttribute(cell.node, "data-broken", isBroken ? "" : null);
  setAttribute(cell.node, "data-sign", value < 0 ? "minus" : "plus");
  cell.node.style.setProperty("--strength", `${Math.round(Math.min(1, Math.abs(value ?? 0)) * 32)}%`);
}

export function fundingStrip() {
  const list = h("ul", { class: "strip" });
  const scale = h("div", { class: "scale", "aria-hidden": "true" }, h("span"), h("span", { class: "ticks" }, ["−4", "−2", "mean", "+2", "+4"].map((each) => h("i", {}, each))));
  const node = panel("Funding against its own mean", "funding", [list, scale]);
  const rows = new Rows(list, (symbol) => {
    const gauge = buildGauge();
    const [rate, z, word] = [h("span", { class: "number" }), h("span", { class: "number" }), h("span")];
    const mark = badge("off", "");
    word.append(mark);
    const item = h("li", { "data-symbol": symbol }, h("span", {}, symbol), gauge.node, rate, z, word);
    const draw = () => {
      const signal = market.features.packages[symbol]?.funding;
      const said = tell("funding", signal, now());
      const isThere = Boolean(signal?.ready) && isNumber(signal.z_score);
      gauge.draw(isThere ? Math.max(-WIDEST_Z, Math.min(WIDEST_Z, signal.z_score)) : null);
      setAttribute(item, "data-level", said.level);
      setText(rate, isThere && isNumber(signal.funding_rate) ? `${number(signal.funding_rate * 100, 4, 4)} %` : "");
      setText(z, isThere ? `z ${signed(signal.z_score)}` : "");
      setBadge(mark, said.level, said.word);
    };
    return { node: item, draw };
  });
  return { node, draw: () => rows.draw(symbols()) };
}

function shape(name, attributes) {
  const node = document.createElementNS(SVG, name);
  for (const [key, value] of Object.entries(attributes)) node.setAttribute(key, value);
  return node;
}

/** Usual funding is the band from -2 to +2 standard deviations, the mean its middle. */
function buildGauge() {
  const node = shape("svg", { viewBox: "0 0 200 20", preserveAspectRatio: "none", "aria-hidden": "true" });
  const needle = shape("rect", { class: "needle", y: 1, width: 3, height: 18 });
  node.append(
    shape("rect", { class: "track", x: 0, y: 6, width: 200, height: 8, rx: 2 }),
    shape("rect", { class: "usual", x: 50, y: 6, width: 100, height: 8 }),
    shape("line", { class: "middle", x1: 100, x2: 100, y1: 3, y2: 17 }),
    needle,
  );
  const draw = (z) => {
    setAttribute(needle, "visibility", z === null ? "hidden" : "visible");
    setAttribute(needle, "x", (100 + ((z ?? 0) / WIDEST_Z) * 98.5 - 1.5).toFixed(1));
  };
  return { node, draw };
}

const caption = (text) => h("caption", { class: "unseen" }, text);

function panel(title, id, content, note = null) {
  return h("section", { class: "panel", "aria-labelledby": `${id}-title`, id },
    h("header", {}, h("h2", { id: `${id}-title` }, title), note),
    h("div", { class: "scroll", tabindex: "0", role: "group", "aria-label": title }, content));
}
