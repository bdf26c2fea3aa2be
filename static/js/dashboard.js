// The page for the trader.
import { startPage } from "./bar.js";
import { card } from "./cards.js";
import { Chart, chartLibrary } from "./chart.js";
import { arrange, byId, h } from "./dom.js";
import { EventStream } from "./events.js";
import { correlationMatrix, fundingStrip, timeframeGrid } from "./grids.js";
import { onPreference, prefer, preference } from "./preferences.js";
import { market, symbols, view } from "./store.js";
import { whenReady } from "./waiting.js";

const { say } = startPage();
const library = chartLibrary();
whenReady(begin);

async function begin() {
  const timeframes = market.status?.timeframes?.length ? market.status.timeframes : ["1h", "4h", "1d", "1w"];
  const cards = h("section", { class: "cards", id: "cards", "aria-label": "Symbols" });
  const place = h("div", { id: "chart-place" });
  const symbol = h("select", { id: "symbol", onchange: () => prefer("symbol", symbol.value) });
  const timeframe = h("select", { id: "timeframe", onchange: () => prefer("timeframe", timeframe.value) }, timeframes.map((each) => h("option", { value: each }, each)));
  const chartPanel = h("section", { class: "panel beside", id: "chart", "aria-labelledby": "chart-title" },
    h("header", {}, h("h2", { id: "chart-title" }, "Chart"), h("div", { class: "controls" }, h("label", {}, "Symbol", symbol), h("label", {}, "Bars", timeframe))), place);
  const grids = [timeframeGrid(timeframes), correlationMatrix(), fundingStrip()];
  const stream = new EventStream();
  byId("content").append(cards, chartPanel, ...grids.map((grid) => grid.node), stream.node);
  startCards(cards);
  view(["features"], () => grids.forEach((grid) => grid.draw()));
  view(["features"], () => offer(symbol, symbols()));
  offer(symbol, symbols());
  const chart = new Chart(place, await library, { say, open: (id) => stream.open(id) });
  const choose = () => {
    symbol.value = symbols().includes(preference("symbol")) ? preference("symbol") : (symbols()[0] ?? "");
    timeframe.value = timeframes.includes(preference("timeframe")) ? preference("timeframe") : timeframes[0];
    if (symbol.value) chart.choose(symbol.value, timeframe.value);
  };
  onPreference("symbol", choose);
  onPreference("timeframe", choose);
  choose();
}

function startCards(place) {
  const made = new Map();
  const draw = () => {
    for (const symbol of symbols()) {
      if (!made.has(symbol)) made.set(symbol, card(symbol, () => prefer("symbol", symbol)));
      made.get(symbol).draw();
    }
    arrange(place, symbols().map((symbol) => made.get(symbol).node));
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
