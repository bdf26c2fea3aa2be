// Candles of one symbol with what happened to it: volatility bands, liquidations, events, support and resistance.
import { get } from "./api.js";
import { bandLayer, hatchLayer } from "./chart-layers.js";
import { h, row, setAttribute, setText, timeElement } from "./dom.js";
import { market, now, view } from "./store.js";
import { compact, isNumber, localTime, number, price, usd } from "./words.js";

const BARS = 720;
const SHOWN = { "1h": 168, "4h": 42, "1d": 60, "1w": 52 }; // the last seven days, where that is more than a few bars
const ROOM = 10; // bars to the right of the newest, for the names of the lines
const RELOAD_MS = 30_000;
const TABLE_BARS = 48;
const LEVELS = 2;
const BANDS = { HIGH_VOL: "high", EXPLOSIVE: "explosive", EXTREME: "extreme" };
const DAY_MS = 86_400_000;
const RANK = { INFO: 1, WARNING: 2, CRITICAL: 3 };
const TICKS = ["year", "month", "date", "short"];
const PALETTE = ["text", "panel", "grid", "line", "quiet", "off-ground", "info", "warning", "critical", "up", "down", "up-ground", "down-ground",
  "band-high", "band-explosive", "band-extreme", "edge-high", "edge-explosive", "edge-extreme"];

let colours = new Map(); // of the present theme; canvas needs the colours themselves
const colour = (name) => colours.get(name);

/** Ask for all colours at once: each question by itself would lay out the page. */
function readColours() {
  const probes = PALETTE.map((name) => {
    const probe = h("span", { hidden: true });
    probe.style.color = `var(--${name})`;
    return probe;
  });
  document.body.append(...probes);
  colours = new Map(probes.map((probe, at) => [PALETTE[at], getComputedStyle(probe).color]));
  for (const probe of probes) probe.remove();
}

const seconds = (ms) => Math.floor(ms / 1000);

/** A chart inside `place`. open(id): called with the event whose marker was pressed. */
export class Chart {
  #bars = [];
  #key = "";
  #loadedAt = 0;
  #loading = false;
  #lines = [];
  #linesKey = "";
  #markersKey = "";
  #cursor = null;
  #isFitted = false;

  constructor(place, library, { open, say, title }) {
    this.library = library;
    this.open = open;
    this.say = say;
    this.title = { name: h("span"), price: h("span", { class: "price" }), moved: h("span", { class: "moved" }) };
    title.replaceChildren(this.title.name, this.title.price, this.title.moved);
    this.plot = h("div", { class: "plot", role: "img", "aria-label": "Chart, loading" });
    this.readout = h("p", { class: "readout" });
    this.table = h("details", {}, h("summary", {}, "The same as a table"));
    this.table.addEventListener("toggle", () => this.#drawTable());
    this.frame = h("div", { class: "chart", tabindex: "0", role: "group", "aria-label": "Chart: left and right arrow keys read one bar after the other" }, this.readout, this.plot);
    if (library) {
      place.replaceChildren(this.frame, legend(), this.table);
      this.#build();
    } else {
      place.replaceChildren(missing(), this.table);
      this.table.open = true;
    }
    addEventListener("themechange", () => this.#paint());
    view(["features"], () => this.#follow());
    view(["events"], () => this.#drawMarkers());
  }

  choose(symbol, timeframe) {
    const key = `${symbol} ${timeframe}`;
    if (key === this.#key) return;
    Object.assign(this, { symbol, timeframe });
    this.#key = key;
    this.#isFitted = false;
    this.#bars = [];
    this.#headless("Reading the bars …");
    this.#load();
  }

  async #load() {
    const key = this.#key;
    this.#loading = true;
    this.#loadedAt = Date.now();
    try {
      const { bars } = await get("/api/candles", { symbol: this.symbol, timeframe: this.timeframe, limit: BARS });
      if (key !== this.#key) return;
      this.#bars = bars;
      this.#quote();
      this.#draw();
      if (!bars.length) this.#headless("No bars yet: they come with the history.");
    } catch (error) {
      if (!this.#bars.length) setText(this.readout, `No bars: ${error.message}`);
    } finally {
      this.#loading = false;
    }
  }

  /** New readings came: move the unfinished bar, and read again when it must be a new one. */
  #follow() {
    const last = this.#bars.at(-1);
    const isOver = last && now() >= last.open_ms + this.#step();
    if (!this.#loading && (isOver || Date.now() - this.#loadedAt > RELOAD_MS) && Date.now() - this.#loadedAt > 1000) this.#load();
    else if (this.#quote()) {
      this.candles?.update(candle(last));
      this.hatch?.show(hatched(last));
    }
    this.#drawLevels();
    this.#describe();
  }

  /** The unfinished bar ends at the price that the cards show; answers whether there is one to end. */
  #quote() {
    const quoted = market.features?.prices[this.symbol]?.price;
    const last = this.#bars.at(-1);
    if (!quoted || !last || last.closed || now() >= last.open_ms + this.#step()) return false;
    Object.assign(last, { close: quoted, high: Math.max(last.high, quoted), low: Math.min(last.low, quoted) });
    return true;
  }

  #step() {
    const unit = { h: 3_600_000, d: 86_400_000, w: 604_800_000 }[this.timeframe.at(-1)];
    return unit * Number.parseInt(this.timeframe, 10);
  }

  #build() {
    const { createChart, CandlestickSeries, HistogramSeries, createSeriesMarkers } = this.library;
    this.chart = createChart(this.plot, {
      autoSize: true,
      rightPriceScale: { minimumWidth: 76, entireTextOnly: true, scaleMargins: { top: 0.12, bottom: 0.06 } },
      layout: { attributionLogo: false, fontFamily: getComputedStyle(document.body).fontFamily, panes: { enableResize: false } },
      localization: { timeFormatter: (time) => localTime(time * 1000, "day") },
      timeScale: { timeVisible: true, secondsVisible: false, rightOffset: ROOM, tickMarkFormatter: tick },
      crosshair: { mode: 0 },
    });
    this.candles = this.chart.addSeries(CandlestickSeries, { priceFormat: { type: "custom", formatter: price, minMove: 1e-8 } });
    const bars = { priceFormat: { type: "custom", formatter: (value) => compact(Math.abs(value)), minMove: 1 }, priceLineVisible: false, lastValueVisible: false };
    this.longs = this.chart.addSeries(HistogramSeries, bars, 1);
    this.shorts = this.chart.addSeries(HistogramSeries, bars, 1);
    this.chart.panes()[0].setStretchFactor(4);
    this.chart.panes()[1].setStretchFactor(1);
    this.bands = bandLayer();
    this.hatch = hatchLayer();
    this.candles.attachPrimitive(this.bands);
    this.candles.attachPrimitive(this.hatch);
    this.markers = createSeriesMarkers(this.candles, []);
    this.chart.subscribeCrosshairMove(({ time }) => this.#read(time ? this.#bars.findIndex((bar) => seconds(bar.open_ms) === time) : -1));
    this.chart.subscribeClick(({ hoveredObjectId }) => hoveredObjectId && this.open(hoveredObjectId));
    this.frame.addEventListener("keydown", (event) => this.#walk(event));
    this.#paint();
  }

  #paint() {
    if (!this.chart) return;
    readColours();
    const [text, panel, grid, line, up, down] = ["text", "panel", "grid", "line", "up", "down"].map(colour);
    this.chart.applyOptions({
      layout: { background: { color: panel }, textColor: text, panes: { separatorColor: line } },
      grid: { vertLines: { color: grid }, horzLines: { color: grid } },
      timeScale: { borderColor: line },
      rightPriceScale: { borderColor: line },
      crosshair: { vertLine: { color: colour("quiet"), labelBackgroundColor: colour("off-ground") }, horzLine: { color: colour("quiet"), labelBackgroundColor: colour("off-ground") } },
    });
    this.candles.applyOptions({ upColor: up, downColor: down, wickUpColor: up, wickDownColor: down, borderVisible: false });
    this.longs.applyOptions({ color: down });
    this.shorts.applyOptions({ color: up });
    this.#linesKey = this.#markersKey = "";
    this.#draw();
  }

  #draw() {
    this.#read(-1);
    this.#describe();
    this.#drawTable();
    if (!this.chart || !this.#bars.length) return;
    const bars = this.#bars;
    this.candles.setData(bars.map(candle));
    this.longs.setData(bars.map((bar) => column(bar, -bar.long_usd)));
    this.shorts.setData(bars.map((bar) => column(bar, bar.short_usd)));
    this.bands.show(bandsOf(bars));
    this.hatch.show(hatched(bars.at(-1)));
    this.#drawLevels();
    this.#markersKey = "";
    this.#drawMarkers();
    if (!this.#isFitted) {
      this.#isFitted = true;
      const count = Math.min(bars.length, SHOWN[this.timeframe] ?? 120);
      this.chart.timeScale().setVisibleLogicalRange({ from: bars.length - count, to: bars.length + ROOM });
    }
  }

  #drawLevels() {
    if (!this.candles || !market.features) return;
    const signal = market.features.packages[this.symbol]?.cascades;
    const below = (signal?.support_levels ?? []).slice(0, LEVELS);
    const above = (signal?.resistance_levels ?? []).slice(0, LEVELS);
    const key = `${this.#key} ${below} ${above}`;
    if (key === this.#linesKey) return;
    this.#linesKey = key;
    for (const line of this.#lines) this.candles.removePriceLine(line);
    const draw = (letter, name) => (level, at) => this.candles.createPriceLine({
      price: level, title: `${letter}${at + 1}`, color: colour(`${name}`), lineStyle: 2, lineWidth: 1, axisLabelVisible: true,
      axisLabelColor: colour(`${name}-ground`), axisLabelTextColor: colour(`${name}`),
    });
    this.#lines = [...below.map(draw("S", "up")), ...above.map(draw("R", "down"))];
  }

  /** One marker a bar: the gravest event that began in it, and how many more there are. */
  #drawMarkers() {
    if (!this.markers || !this.#bars.length) return;
    const step = this.#step();
    const first = this.#bars[0].open_ms;
    const found = new Map();
    for (const event of market.events.values()) {
      const at = Date.parse(event.started);
      if (event.symbol !== this.symbol || at < first) continue;
      const bar = this.#bars.findLast((each) => each.open_ms <= at);
      if (!bar || at >= bar.open_ms + step) continue;
      const held = found.get(bar.open_ms);
      const gravest = held && RANK[held.event.severity] >= RANK[event.severity] ? held.event : event;
      found.set(bar.open_ms, { event: gravest, count: (held?.count ?? 0) + 1 });
    }
    const key = [...found].map(([at, { event, count }]) => `${at}${event.id}${event.severity}${count}`).join();
    if (key === this.#markersKey) return;
    this.#markersKey = key;
    const colours = { INFO: colour("info"), WARNING: colour("warning"), CRITICAL: colour("critical") };
    const shapes = { INFO: "circle", WARNING: "arrowDown", CRITICAL: "square" };
    const markers = [...found].sort(([a], [b]) => a - b).map(([at, { event, count }]) => ({
      time: seconds(at),
      position: "aboveBar",
      id: event.id,
      color: colours[event.severity],
      shape: shapes[event.severity],
      text: count > 1 ? `${event.source.toLowerCase()} +${count - 1}` : event.source.toLowerCase(),
    }));
    this.markers.setMarkers(markers);
  }

  #read(at) {
    const bar = this.#bars.at(at);
    if (bar) setText(this.readout, sentence(bar));
  }

  #walk(event) {
    const move = { ArrowLeft: -1, ArrowRight: 1 }[event.key];
    if (!move || !this.#bars.length) return;
    event.preventDefault();
    const last = this.#bars.length - 1;
    this.#cursor = Math.max(0, Math.min(last, (this.#cursor ?? last + 1) + move));
    const bar = this.#bars[this.#cursor];
    this.chart.setCrosshairPosition(bar.close, seconds(bar.open_ms), this.candles);
    this.#read(this.#cursor);
    this.say(sentence(bar));
  }

  #describe() {
    const last = this.#bars.at(-1);
    if (!last) return;
    const shown = this.#bars.slice(-(SHOWN[this.timeframe] ?? 120));
    const [low, high] = [Math.min(...shown.map((bar) => bar.low)), Math.max(...shown.map((bar) => bar.high))];
    const state = last.vol_regime ? `, volatility ${last.vol_regime}` : "";
    setAttribute(this.plot, "aria-label", `${this.symbol}, ${this.timeframe} bars: now ${price(last.close)}, between ${price(low)} and ${price(high)} lately${state}`);
    if (!this.#cursor) this.#read(-1);
    this.#head(last);
  }

  #headless(why) {
    setText(this.title.name, `${this.symbol} · ${this.timeframe}`);
    for (const part of [this.title.price, this.title.moved]) setText(part, "");
    setText(this.readout, why);
  }

  #head(last) {
    const { name, price: cost, moved } = this.title;
    setText(name, `${this.symbol} · ${this.timeframe}`);
    setText(cost, price(last.close));
    const before = this.#step() <= DAY_MS ? this.#bars.findLast((bar) => bar.open_ms + this.#step() <= now() - DAY_MS) : null;
    const change = before ? last.close / before.close - 1 : null;
    setText(moved, isNumber(change) ? `${change < 0 ? "▼ −" : "▲ +"}${number(Math.abs(change) * 100, 2, 2)} % in 24 h` : "");
    setAttribute(moved, "data-sign", change < 0 ? "minus" : "plus");
  }

  #drawTable() {
    if (!this.table.open) return;
    const head = ["Bar", "Open", "High", "Low", "Close", "Volatility", "Longs liquidated", "Shorts liquidated"];
    const body = this.#bars.slice(-TABLE_BARS).reverse().map((bar) => row(
      h("span", {}, timeElement(bar.open_ms, "day"), bar.closed ? "" : " (not closed)"),
      ...[bar.open, bar.high, bar.low, bar.close].map((value) => h("td", { class: "number" }, price(value))),
      h("td", {}, bar.vol_regime ?? "–"),
      h("td", { class: "number" }, usd(bar.long_usd)),
      h("td", { class: "number" }, usd(bar.short_usd)),
    ));
    const table = h("table", {}, h("caption", { class: "unseen" }, `${this.symbol}, last bars of ${this.timeframe}`),
      h("thead", {}, h("tr", {}, head.map((each, at) => h("th", { scope: "col", class: at ? "number" : null }, each)))), h("tbody", {}, body));
    this.table.replaceChildren(this.table.firstChild, h("div", { class: "scroll", tabindex: "0", role: "group", "aria-label": "Bars" }, table));
  }
}

const candle = (bar) => ({ time: seconds(bar.open_ms), open: bar.open, high: bar.high, low: bar.low, close: bar.close });
const column = (bar, value) => (value ? { time: seconds(bar.open_ms), value } : { time: seconds(bar.open_ms) });
const hatched = (bar) => (bar.closed ? null : { ...candle(bar), colour: colour("quiet") });

function sentence(bar) {
  const state = bar.vol_regime ? `, ${bar.vol_regime}` : "";
  const lost = bar.long_usd || bar.short_usd ? `, liquidated: longs ${usd(bar.long_usd)}, shorts ${usd(bar.short_usd)}` : "";
  const draft = bar.closed ? "" : " (not closed)";
  return `${localTime(bar.open_ms, "day")}${draft}: open ${price(bar.open)}, high ${price(bar.high)}, low ${price(bar.low)}, close ${price(bar.close)}${state}${lost}`;
}

function bandsOf(bars) {
  const bands = [];
  let state = null;
  for (const bar of bars) {
    const name = BANDS[bar.vol_regime];
    const time = seconds(bar.open_ms);
    if (name && bar.vol_regime === state) bands.at(-1).to = time;
    else if (name) bands.push({ from: time, to: time, word: bar.vol_regime, colour: colour(`band-${name}`), edge: colour(`edge-${name}`) });
    state = bar.vol_regime;
  }
  return bands;
}

function tick(time, kind) {
  return localTime(time * 1000, TICKS[Math.min(kind, TICKS.length - 1)]);
}

function legend() {
  const item = (name, text) => h("li", { class: name }, h("i", { "aria-hidden": "true" }), text);
  return h("ul", { class: "key", "aria-label": "What the chart shows" },
    item("high", "HIGH_VOL"), item("explosive", "EXPLOSIVE"), item("extreme", "EXTREME"), item("open", "bar not closed yet"),
    h("li", {}, "S, R: support and resistance"), h("li", {}, "Below: liquidations seen, USD, longs down, shorts up"));
}

function missing() {
  return h("p", { class: "quiet" }, "This installation has no chart library, so bars stand in a table. For charts install npm and then regimes again.");
}

export async function chartLibrary() {
  try {
    return await import("/vendor/lightweight-charts.js");
  } catch {
    return null;
  }
}
