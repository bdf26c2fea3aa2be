from playwright.sync_api import Page, expect

from tests.e2e.browser.looks import opened
from tests.e2e.browser.service import Exchange

NASTY = "<img src=x onerror=document.title='owned'>"


def test_a_symbol_made_of_markup_is_shown_as_text(page: Page, exchange: Exchange, faults: list[str]) -> None:
    opened(page, "/realtime")
    page.locator("#symbol").select_option("ALL")
    exchange.liquidate(f"{NASTY}USDT", 44_440)
    expect(page.locator("#tape tbody tr").first).to_contain_text(f"{NASTY}/USDT")
    assert page.locator("img").count() == 0
    assert "owned" not in page.title()
    assert faults == []


def test_an_event_made_of_markup_is_shown_as_text(page: Page, faults: list[str]) -> None:
    opened(page)
    page.evaluate(
        """async (nasty) => {
          const { takeEvent } = await import('/js/store.js');
          const now = new Date().toISOString();
          takeEvent({ id: 'evt_nasty', revision: 0, event_type: nasty, symbol: nasty, severity: 'CRITICAL', title: nasty,
            description: nasty, why: nasty, data: { [nasty]: nasty }, phase: 'opened', started: now, timestamp: now,
            source: nasty, track_record: { [nasty]: nasty } });
        }""",
        NASTY,
    )
    row = page.locator("#evt_nasty")
    expect(row).to_contain_text(NASTY)
    row.locator("button").first.click()
    expect(row.locator(".facts dt").first).to_have_text(NASTY)
    expect(page.locator(".banner")).to_contain_text(NASTY)
    assert page.locator("img").count() == 0
    assert [fault for fault in faults if "evt_nasty" not in fault and "404" not in fault] == []


def test_the_page_needs_nothing_inline_and_nothing_from_elsewhere(page: Page, faults: list[str]) -> None:
    foreign: list[str] = []
    page.on(
        "request", lambda request: foreign.append(request.url) if "127.0.0.1" not in request.url else None
    )
    for path in ("/", "/realtime", "/deliveries"):
        answer = page.goto(path)
        assert answer is not None
        assert "default-src 'self'" in (answer.header_value("content-security-policy") or "")
        expect(page.locator("#content")).to_be_visible()
    assert foreign == []
    assert faults == []
