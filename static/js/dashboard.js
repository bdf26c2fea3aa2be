// The page for the trader.
import { startPage } from "./bar.js";
import { card, cardHead } from "./cards.js";
import { get } from "./api.js";
import { arrange, byId, h } from "./dom.js";
import { EventStream } from "./events.js";
import { correlationMatrix, fundingStrip, timeframeGrid } from "./grids.js";
import { onPreference, prefer, preference } from "./preferences.js";
import { isPaused, mark, market, nextFrame, on, symbols, takeFeatures, view } from "./store.js";
import { whenReady } from "./waiting.js";

const MANY = 6; // symbols: from here on a line each, not a card
const HASTE_MS = 1000;
const { say } = startPage();
whenReady(begin);

/** What matters most is painted first; the rest follows frame by frame. */
async function begin() {
  const { timeframes } = market.status;
  const cards = h("section", { class: "cards", id: "cards", "aria-label": "Symbols" });
  byId("content").append(cards);
  startCards(cards);
  await nextFrame();
  const place = h("div", { id: "chart-place" }, h("p", { class: "quiet" }, "Loading the chart …"));
  const symbol = h("select", { id: "symbol", onchange: () => prefer("symbol", symbol.value) });
  const timeframe = h("select", { id: "timeframe", onchange: () => prefer("timeframe", timeframe.value) }, timeframes.map((each) => h("option", { value: each }, each)));
  const panel = h("section", { class: "panel", id: "chart", "aria-labelledby": "chart-title" },
    h("header", {}, h("h2", { id: "chart-title", class: "chart-title" }, "Chart"), h("div", { class: "controls" }, h("label", {}, "Symbol", symbol), h("label", {}, "Bars", timeframe))), place);
  const grids = [timeframeGrid(timeframes), correlationMatrix(), fundingStrip()];
  const stream = new EventStream();
  view(["features"], () => offer(symbol, symbols()));
  offer(symbol, symbols());
  const [frames, ...pair] = grids.map((grid) => grid.node);
  byId("content").append(h("div", { class: "column" }, panel, frames, h("div", { class: "pair" }, pair)), h("div", { class: "side" }, stream.node));
  for (const grid of grids) {
    await nextFrame();
    view(["features"], grid.draw);
    grid.draw();
  }
  mark("events");
  byId("content").append(scorePanel());
  let chart = null;
  const choose = () => {
    symbol.value = chosen("symbol", symbols());
    timeframe.value = chosen("timeframe", timeframes);
    chart?.choose(symbol.value, timeframe.value);
  };
  onPreference("symbol", choose);
  onPreference("timeframe", choose);
  choose();
  startHaste();
  await inSight(panel);
  const { Chart, chartLibrary } = await import("./chart.js");
  chart = new Chart(place, await chartLibrary(), { say, title: byId("chart-title"), open: (id) => stream.open(id) });
  choose();
}

/** The chart is the dearest part; a phone builds it when its owner gets there. */
const inSight = (node) => new Promise((done) => {
  const watch = new IntersectionObserver((seen) => {
    if (!seen.some((each) => each.isIntersecting)) return;
    watch.disconnect();
    done();
  });
  watch.observe(node);
});

/** An event brings the readings it was made of, however slow the pace: a card never denies what the list says. */
function startHaste() {
  let timer = null;
  const read = async () => {
    timer = null;
    if (document.hidden || isPaused()) return;
    try {
      takeFeatures(await get("/api/features"));
    } catch {
      // They come with the next update.
    }
  };
  on("event", () => (timer ??= setTimeout(read, HASTE_MS)));
}

function scorePanel() {
  const place = h("div", {});
  const inside = h("details", { ontoggle: async () => inside.open && (await import("./score.js")).showScore(place) }, h("summary", {}, h("h2", { id: "score-title" }, "What followed")), place);
  return h("section", { class: "panel", id: "score", "aria-labelledby": "score-title" }, inside);
}

const chosen = (name, values) => (values.includes(preference(name)) ? preference(name) : values[0]);

function startCards(place) {
  const made = new Map();
  const head = cardHead();
  const draw = () => {
    for (const symbol of symbols()) {
      if (!made.has(symbol)) made.set(symbol, card(symbol, () => prefer("symbol", symbol)));
      made.get(symbol).draw();
    }
    place.classList.toggle("many", made.size > MANY);
    arrange(place, [head, ...symbols().map((symbol) => made.get(symbol).node)]);
  };
  view(["features"], draw);
  draw();
}

function offer(select, values) {
  if (select.options.length === values.length) return;
  const kept = select.value;
  select.replaceChildren(...values.map((value) => h("option", { value }, value)));
  select.value = kept;
}
