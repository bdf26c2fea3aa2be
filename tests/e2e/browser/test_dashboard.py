import re

import pytest
from playwright.sync_api import Page, expect

from tests.e2e.browser.looks import choose_theme, opened, rows
from tests.e2e.browser.service import Exchange, Service

PRICED = re.compile(r"\d")


def test_every_part_of_the_page_is_there_and_filled(page: Page, service: Service, faults: list[str]) -> None:
    opened(page)
    symbols = service.get("/api/status")["symbols"]
    expect(page.locator(".card")).to_have_count(len(symbols))
    for symbol in symbols:
        card = page.locator(f'.card[data-symbol="{symbol}"]')
        expect(card.locator(".price")).to_have_text(PRICED)
        expect(card.locator("dt")).to_have_text(["Volatility", "Next 24 h", "Funding", "Cascade", "Regime"])
        for badge in card.locator("dd .badge .word").all():
            expect(badge).not_to_have_text("")
    expect(page.locator("#market .word")).to_have_text(re.compile("NORMAL|ACTIVE|CRISIS"))
    expect(page.locator("#live .word")).to_have_text(re.compile(r"live, \d+\.\d s behind"))
    expect(page.locator("#interval")).to_have_value("10")
    expect(page.locator("#chart canvas").first).to_be_visible()
    expect(page.locator("#chart .readout")).to_have_text(re.compile("open .* close "))
    expect(page.locator("#timeframes thead th")).to_have_text(["Symbol", "1h", "4h", "1d", "1w", "Together"])
    expect(page.locator("#timeframes tbody tr")).to_have_count(len(symbols))
    expect(page.locator("#correlations tbody tr")).to_have_count(len(symbols))
    expect(page.locator("#funding li")).to_have_count(len(symbols))
    expect(rows(page).first).to_be_visible()
    assert faults == []


def test_the_first_readings_do_not_wait_for_the_line(page: Page) -> None:
    page.add_init_script(
        "delete window.SharedWorker; window.EventSource = class { addEventListener() {} close() {} };"
    )
    page.goto("/")
    expect(page.locator(".card .price").first).to_have_text(PRICED)
    expect(page.locator("#market .word")).to_have_text(re.compile("NORMAL|ACTIVE|CRISIS"))
    expect(page.locator("#live")).to_contain_text("connecting")


def test_prices_and_age_change_by_themselves(page: Page) -> None:
    opened(page)
    page.locator("#interval").select_option("5")
    prices = page.locator(".card .price")
    before = prices.all_inner_texts()
    page.wait_for_function(
        "old => [...document.querySelectorAll('.card .price')].some((n, i) => n.innerText !== old[i])",
        arg=before,
    )
    assert prices.all_inner_texts() != before


def test_paused_the_page_stands_still_counts_what_comes_and_catches_up(
    page: Page, exchange: Exchange
) -> None:
    opened(page)
    page.locator("#interval").select_option("5")
    page.locator("#pause").click()
    expect(page.locator("#pause")).to_have_attribute("aria-pressed", "true")
    shown = rows(page).count()
    prices = page.locator(".card .price").all_inner_texts()
    exchange.liquidate("ADAUSDT", 700_000)
    expect(page.locator("#pause")).to_have_text(re.compile(r"Paused, \d+ new"))
    assert rows(page).count() == shown
    assert page.locator(".card .price").all_inner_texts() == prices
    page.locator("#pause").click()
    expect(page.locator("#pause")).to_have_text("Pause")
    expect(rows(page).filter(has_text="ADA/USDT").first).to_be_visible()


def test_filters_leave_only_what_was_asked_for(page: Page) -> None:
    opened(page)
    page.locator("[data-filter=symbol]").select_option("ETH/USDT")
    expect(rows(page).first).to_be_visible()
    assert set(page.locator(".events .symbol").all_text_contents()) == {"ETH/USDT"}
    page.locator("[data-filter=type]").select_option("FUNDING_REVERSAL")
    page.locator("[data-filter=severity]").select_option("CRITICAL")
    expect(rows(page)).to_have_count(0)
    page.locator("[data-filter=type]").select_option("LIQUIDATION_CASCADE")
    expect(rows(page)).to_have_count(1)
    page.locator("[data-filter=symbol]").select_option("")
    page.locator("[data-filter=type]").select_option("")
    page.locator("[data-filter=severity]").select_option("")
    assert len(set(page.locator(".events .symbol").all_text_contents())) > 1


def test_an_event_opens_to_why_data_record_and_deliveries(page: Page) -> None:
    opened(page)
    row = rows(page).filter(has_text="ETH/USDT").first
    row.locator("button").first.click()
    detail = row.locator(".detail")
    expect(detail.locator("h3")).to_have_text(
        ["Why", "When", "Track record", "Deliveries", "Data", "Silence its like"]
    )
    expect(detail).to_contain_text("velocity")
    expect(detail.locator(".facts dt").filter(has_text="total liquidation")).to_be_visible()
    expect(detail).to_contain_text("of its kind in 30 days")
    expect(detail.locator("li .badge .word").first).to_have_text(re.compile("delivered|pending"))
    row.locator("button").first.click()
    expect(detail).to_have_count(0)


@pytest.mark.parametrize("form", ["/#{}", "/?event={}"])
def test_a_link_to_an_event_opens_it(page: Page, service: Service, form: str) -> None:
    event = next(e for e in service.all_events() if e["symbol"] == "ETH/USDT")
    opened(page, form.format(event["id"]))
    expect(page.locator(f"#{event['id']} .detail")).to_be_visible()


def test_the_banner_stands_while_something_critical_is_open_and_can_be_put_away(
    page: Page, exchange: Exchange
) -> None:
    opened(page)
    exchange.liquidate("BTCUSDT", 9_000_000)
    banner = page.locator(".banner")
    expect(banner).to_contain_text("CRITICAL since")
    banner.get_by_role("link", name="Open").click()
    expect(page.locator(".detail")).to_be_visible()
    while banner.count():
        banner.get_by_role("button", name="Dismiss").click()
        page.wait_for_timeout(50)
    expect(page.locator("#summary")).to_be_visible()
    expect(rows(page).filter(has_text="BTC/USDT").first).to_be_visible()
    page.reload()
    expect(page.locator("#content")).to_be_visible()
    expect(banner).to_have_count(0)


def test_the_chart_follows_symbol_and_timeframe_and_reads_bars_by_keyboard(page: Page) -> None:
    opened(page)
    plot = page.locator("#chart .plot")
    expect(plot).to_have_attribute("aria-label", re.compile("BTC/USDT, 1h bars: now"))
    page.locator("#symbol").select_option("SOL/USDT")
    page.locator("#timeframe").select_option("4h")
    expect(plot).to_have_attribute("aria-label", re.compile("SOL/USDT, 4h bars: now"))
    page.locator("#chart .chart").focus()
    newest = page.locator("#chart .readout").inner_text()
    for _ in range(3):
        page.keyboard.press("ArrowLeft")
    expect(page.locator("#chart .readout")).not_to_have_text(newest)
    page.locator("#chart summary").click()
    expect(page.locator("#chart details tbody tr").first).to_contain_text("not closed")
    page.locator('.card[data-symbol="ETH/USDT"] button').click()
    expect(plot).to_have_attribute("aria-label", re.compile("ETH/USDT, 4h bars"))


@pytest.mark.parametrize("theme", ["light", "dark"])
def test_the_theme_is_kept_and_followed_by_other_tabs(page: Page, theme: str) -> None:
    opened(page)
    other = opened(page.context.new_page(), "/realtime")
    choose_theme(page, theme)
    expect(other.locator("html")).to_have_attribute("data-theme", theme)
    page.reload()
    expect(page.locator("html")).to_have_attribute("data-theme", theme)


def test_the_pace_is_kept(page: Page) -> None:
    opened(page)
    for seconds in ("5", "30", "60", "10"):
        page.locator("#interval").select_option(seconds)
    page.locator("#interval").select_option("30")
    page.reload()
    expect(page.locator("#interval")).to_have_value("30")


def test_without_the_chart_library_there_is_a_table_and_a_hint(page: Page) -> None:
    page.route("**/vendor/**", lambda route: route.fulfill(status=404))
    opened(page)
    expect(page.locator("#chart")).to_contain_text("no chart library")
    expect(page.locator("#chart details tbody tr").first).to_be_visible()
