// One card a symbol: price, volatility, funding, cascade, regime. Built once, then only texts change.
import { badge, h, setBadge, setText } from "./dom.js";
import { market, now } from "./store.js";
import { tell } from "./truth.js";
import { price } from "./words.js";

const ROWS = [
  ["volatility", "Volatility", "volatility"],
  ["volatility", "Next 24 h", "forecast"],
  ["funding", "Funding", "funding"],
  ["cascades", "Cascade", "cascades"],
  ["regimes", "Regime", "regimes"],
];

/** The columns where each card is one line. */
export const cardHead = () => h("div", { class: "head", "aria-hidden": "true" }, h("span", {}, "Symbol"), h("span", {}, ROWS.map(([, title]) => h("span", {}, title))));

/** A note breaks between its parts, not within a short one. */
const unbroken = (part) => (part.length < 32 ? part.replaceAll(" ", "\u00a0") : part);

/** A card: { node, draw() }. choose: called when its name is pressed, or null. */
export function card(symbol, choose = null) {
  const cost = h("span", { class: "price" });
  const name = choose ? h("button", { type: "button", class: "name", onclick: choose, title: "Show in the chart" }, symbol) : symbol;
  const lines = ROWS.map(([key, title, saying]) => {
    const mark = badge("off", "");
    const note = h("span", { class: "note" });
    return { key, saying, mark, note, node: h("div", {}, h("dt", {}, title), h("dd", {}, mark, note)) };
  });
  const node = h("article", { class: "panel card", "data-symbol": symbol, "aria-label": symbol },
    h("header", {}, h("h2", {}, name), cost),
    h("dl", {}, lines.map((line) => line.node)));
  const draw = () => {
    const known = market.features.packages[symbol];
    const quoted = market.features.prices[symbol];
    setText(cost, quoted ? price(quoted.price) : "no price yet");
    let isGrave = false;
    for (const { key, saying, mark, note } of lines) {
      const said = tell(key, known?.[key], now(), saying);
      setBadge(mark, said.level, said.word);
      setText(note, said.note.split(" · ").map(unbroken).join(" · "));
      isGrave ||= said.level === "critical";
    }
    node.classList.toggle("alarm", isGrave);
  };
  return { node, draw };
}
