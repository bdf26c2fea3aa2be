import re

from playwright.sync_api import Page, expect

from tests.e2e.browser.looks import opened
from tests.e2e.browser.service import Exchange


def test_the_monitor_shows_one_symbol_its_meters_and_each_liquidation(
    page: Page, exchange: Exchange, faults: list[str]
) -> None:
    opened(page, "/realtime")
    page.locator("#symbol").select_option("ETH/USDT")
    expect(page.locator(".card")).to_have_attribute("data-symbol", "ETH/USDT")
    expect(page.locator("#velocity")).to_contain_text("alerts from 200 k USD/h")
    exchange.liquidate("ETHUSDT", 31_250, side="BUY")
    first = page.locator("#tape tbody tr").first
    expect(first).to_contain_text("31.25 k USD")
    expect(first).to_contain_text("▲ short")
    exchange.liquidate("BTCUSDT", 11_111)
    page.locator("#symbol").select_option("ALL")
    expect(page.locator("#tape tbody tr").filter(has_text="11.11 k USD")).to_have_count(1)
    assert faults == []


def test_meters_move_at_the_chosen_pace_and_stand_still_when_paused(page: Page, exchange: Exchange) -> None:
    opened(page, "/realtime")
    page.locator("#symbol").select_option("BTC/USDT")
    page.locator("#pace").select_option("1")
    total = page.locator("#total .big")
    before = total.inner_text()
    exchange.liquidate("BTCUSDT", 1_234_567)
    expect(total).not_to_have_text(before, timeout=4000)
    page.locator("#pause").click()
    still = total.inner_text()
    exchange.liquidate("BTCUSDT", 1_234_567)
    page.wait_for_timeout(2500)  # the claim is that nothing happens in this time
    assert total.inner_text() == still
    page.locator("#pause").click()
    expect(total).not_to_have_text(still)


def test_refresh_reads_at_once(page: Page) -> None:
    opened(page, "/realtime")
    page.locator("#pace").select_option("10")
    page.locator("#refresh").click()
    expect(page.locator("#content [role=status]").first).to_have_text(re.compile(r"Read at \d\d:\d\d:\d\d"))
