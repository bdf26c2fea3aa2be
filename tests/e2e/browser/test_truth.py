"""What the page says where a number is missing, in what order it says things, and what the chart is given to draw."""

import re

import pytest
from playwright.sync_api import Page, expect

from tests.e2e.browser.looks import opened, rows

# Takes readings as if the service had sent them: `patch` goes over the signal of one symbol.
TAKE = """
async ([symbol, key, patch]) => {
  const { market, takeFeatures } = await import('/js/store.js');
  const known = market.features.packages[symbol];
  takeFeatures({ ...market.features, packages: { [symbol]: { ...known, [key]: { ...known[key], ...patch } } } });
}
"""
LIBRARY = re.compile(r"lightweight-charts\.js$")
# The chart library as it is, except that it keeps what it is given where a test can see it.
OBSERVED = """
import { createChart as make, createSeriesMarkers as mark } from "/vendor/lightweight-charts.js?as-it-is";
export * from "/vendor/lightweight-charts.js?as-it-is";
const drawn = (window.drawn = { series: [], lines: [], shown: [], markers: [] });
const keep = (thing, name, note) => {
  const done = thing[name].bind(thing);
  thing[name] = (...given) => { note(...given); return done(...given); };
};
export const createChart = (...given) => {
  const chart = (drawn.chart = make(...given));
  const add = chart.addSeries.bind(chart);
  chart.addSeries = (...how) => {
    const series = add(...how);
    const at = drawn.series.push({ series, pane: how[2] ?? 0, data: [] }) - 1;
    keep(series, "setData", (data) => (drawn.series[at].data = data));
    keep(series, "createPriceLine", (line) => drawn.lines.push(line.title));
    keep(series, "attachPrimitive", (layer) => {
      if (!layer.show) return; // not one of ours
      const place = drawn.shown.push(null) - 1;
      keep(layer, "show", (what) => (drawn.shown[place] = what));
    });
    return series;
  };
  return chart;
};
export const createSeriesMarkers = (...given) => {
  const made = mark(...given);
  keep(made, "setMarkers", (markers) => (drawn.markers = markers));
  return made;
};
"""
GIVEN = """
() => {
  const { series, lines, shown, chart } = window.drawn;
  return { series: series.map(({ pane, data }) => ({ pane, data })), lines, shown, from: chart.timeScale().getVisibleLogicalRange().from };
}
"""
LAST_MARKER = """
() => {
  const { chart, series, markers } = window.drawn;
  const { time, id } = markers.at(-1);
  const bar = series[0].data.find((each) => each.time === time);
  const box = document.querySelector('#chart .plot').getBoundingClientRect();
  return { id, x: box.x + chart.timeScale().timeToCoordinate(time), y: box.y + series[0].series.priceToCoordinate(bar.high) };
}
"""


NO_LINE = "delete window.SharedWorker; window.EventSource = class { addEventListener() {} close() {} };"


def still(page: Page) -> Page:
    """A page with its first readings and no line to the service, whose readings would come over those of the test."""
    page.add_init_script(NO_LINE)
    page.goto("/")
    expect(page.locator("#correlations tbody tr").first).to_be_visible()
    return page


def test_a_card_says_why_there_is_no_number(page: Page) -> None:
    still(page)
    card = page.locator('.card[data-symbol="BTC/USDT"]')
    for key, patch, words in (
        ("volatility", {"ready": False, "status": "warming", "n": 412, "needed": 720}, "warming 412/720 h"),
        (
            "funding",
            {"ready": False, "status": "unavailable", "detail": "venue has no funding"},
            "unavailable",
        ),
        ("regimes", {"stale": True, "as_of": "2025-01-01T00:00:00Z"}, "stale: "),
    ):
        page.evaluate(TAKE, ["BTC/USDT", key, patch])
        expect(card).to_contain_text(words)
    expect(card).to_contain_text("venue has no funding")


def test_the_matrix_names_who_leads_whom(page: Page) -> None:
    still(page)
    said = {"leading_asset": "BTC", "lagging_assets": ["ETH", "SOL"], "breaks": ["BTC/ETH"]}
    page.evaluate(TAKE, ["ALL", "correlations", said])
    expect(page.locator("#leader")).to_contain_text("BTC leads ETH, SOL")
    expect(page.locator(".matrix td[data-broken]").first).to_contain_text("broken")
    expect(page.locator(".matrix td small").first).to_have_text(re.compile(r"\d\.\d\d"))


def test_the_newest_event_is_on_top(page: Page) -> None:
    opened(page)
    expect(rows(page).nth(1)).to_be_visible()
    times = rows(page).locator("time").evaluate_all("nodes => nodes.map((node) => node.dateTime)")
    assert times == sorted(times, reverse=True)


def test_the_chart_draws_bands_liquidations_levels_markers_and_the_open_bar(page: Page) -> None:
    page.route(LIBRARY, lambda route: route.fulfill(body=OBSERVED, content_type="text/javascript"))
    opened(page)
    page.locator("#symbol").select_option("ETH/USDT")
    page.wait_for_function("() => window.drawn?.markers.length && window.drawn.lines.length")
    drawn = page.evaluate(GIVEN)
    candles, longs, shorts = drawn["series"]
    assert (candles["pane"], longs["pane"], shorts["pane"]) == (0, 1, 1)
    assert min(bar.get("value", 0) for bar in longs["data"]) < -800_000  # the cascade of longs goes down
    bands, hatched = drawn["shown"]
    assert bands
    assert {band["word"] for band in bands} <= {"HIGH_VOL", "EXPLOSIVE", "EXTREME"}
    assert hatched["time"] == candles["data"][-1]["time"]
    assert all(re.fullmatch(r"[SR]\d", title) for title in drawn["lines"])
    assert len(candles["data"]) - drawn["from"] == pytest.approx(168, abs=2)  # seven days of hours


def test_a_marker_on_the_chart_opens_its_event(page: Page) -> None:
    page.route(LIBRARY, lambda route: route.fulfill(body=OBSERVED, content_type="text/javascript"))
    opened(page)
    page.locator("#symbol").select_option("ETH/USDT")
    page.wait_for_function("() => window.drawn?.markers.length")
    page.locator("#chart .plot").scroll_into_view_if_needed()
    marker = page.evaluate(LAST_MARKER)
    for above in range(4, 40, 4):
        page.mouse.move(marker["x"], marker["y"] - above)
        page.mouse.click(marker["x"], marker["y"] - above)
        if page.evaluate("location.hash") == f"#{marker['id']}":
            break
    expect(page.locator(f'.events [data-id="{marker["id"]}"] .row')).to_have_attribute(
        "aria-expanded", "true"
    )
