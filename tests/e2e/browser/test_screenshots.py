"""Every page in every state it can be in, written to build/screenshots for people to look at."""

from collections.abc import Iterator
from pathlib import Path

import pytest
from playwright.sync_api import Browser, BrowserContext, Page, expect

from tests.e2e.browser.looks import PAGES, THEMES, opened, rows, settled
from tests.e2e.browser.service import Cable, Exchange, Receiver, Service, until

SIZES = {"desk": (1440, 900), "phone": (360, 780), "4k": (3840, 2160)}
TOKEN = "a-token-of-24-characters"  # noqa: S105
# What the service says while it fetches history, which on loopback takes too short to be looked at.
HALF_WAY = """
async () => {
  const { market, take } = await import('/js/store.js');
  const progress = { done: 2, total: 6, label: 'ETH/USDT 1h' };
  take({ kind: 'status', status: { ...market.status, state: 'warming', progress, symbols: ['BTC/USDT', 'ETH/USDT', 'SOL/USDT'] } });
}
"""


def taken(page: Page, folder: Path, name: str, *, whole: bool = True) -> None:
    """Write one screenshot; it must show something."""
    file = folder / f"{name}.png"
    settled(page).screenshot(path=file, full_page=whole)
    assert file.stat().st_size > 1_000


@pytest.mark.parametrize("theme", THEMES)
@pytest.mark.parametrize("size", SIZES)
@pytest.mark.parametrize("path", PAGES)
def test_each_page_in_each_size_and_theme(
    browser: Browser, service: Service, screenshots: Path, path: str, size: str, theme: str
) -> None:
    width, height = SIZES[size]
    context = browser.new_context(
        base_url=service.url,
        viewport={"width": width, "height": height},
        color_scheme=theme,  # type: ignore[arg-type]
    )
    page = opened(context.new_page(), path)
    if path == "/":
        expect(rows(page).first).to_be_visible()
    taken(page, screenshots, f"{path[1:] or 'market'}-{size}-{theme}", whole=size != "4k")
    context.close()


def test_an_event_opened_a_silence_asked_for_and_a_filter_that_fits_nothing(
    page: Page, screenshots: Path
) -> None:
    opened(page)
    row = rows(page).filter(has_text="ETH/USDT").first
    row.locator("button").first.click()
    expect(row.locator(".detail li .badge").first).to_be_visible()
    taken(page, screenshots, "event", whole=False)
    row.get_by_role("button", name="4 h", exact=True).click()
    taken(page, screenshots, "silence", whole=False)
    page.keyboard.press("Escape")
    page.locator("[data-filter=type]").select_option("LEADERSHIP_CHANGE")
    expect(page.locator("#events")).to_contain_text("None fits the filter")
    taken(page, screenshots, "event-list-empty", whole=False)
    page.set_viewport_size({"width": 360, "height": 780})
    page.locator("[data-filter=type]").select_option("")
    rows(page).filter(has_text="ETH/USDT").first.scroll_into_view_if_needed()
    taken(page, screenshots, "event-phone", whole=False)


def test_a_page_whose_line_is_cut(browser: Browser, service: Service, screenshots: Path) -> None:
    cable = Cable(service.url)
    context = browser.new_context(base_url=cable.url)
    page = opened(context.new_page())
    cable.cut()
    expect(page.locator("#live")).to_contain_text("reconnecting")
    taken(page, screenshots, "disconnected", whole=False)
    context.close()
    cable.end()


@pytest.fixture
def own_exchange(tmp_path: Path) -> Iterator[Exchange]:
    """One that may be down without anybody else noticing."""
    running = Exchange(tmp_path)
    yield running
    running.end()


@pytest.fixture
def fresh(tmp_path: Path, own_exchange: Exchange) -> Iterator[Service]:
    """With a token, and with an endpoint that answers 404 to all; not started yet."""
    receiver = Receiver()
    receiver.status = 404
    variables = {
        "WEBHOOKS_ALL": receiver.url,
        "DASHBOARD_TOKEN": TOKEN,
        "REGIMES__SYMBOLS": "BTC/USDT,ETH/USDT",
    }
    running = Service(tmp_path, own_exchange, **variables)
    yield running
    running.end()
    receiver.end()


def test_the_first_visit_signing_in_warming_up_and_a_broken_endpoint(
    browser: Browser, fresh: Service, own_exchange: Exchange, screenshots: Path
) -> None:
    own_exchange.fault("http", status=503, path="/")
    fresh.start(wait=False)
    context = browser.new_context(base_url=fresh.url, viewport={"width": 1440, "height": 900})
    page = context.new_page()
    until(fresh.answers, "the service listens")
    signed_in(page, screenshots)
    expect(page.locator("#waiting")).to_be_visible()
    expect(page.locator("#waiting-body")).to_contain_text("does not get the data it needs yet")
    expect(page.locator("#market")).to_contain_text("unknown")
    taken(page, screenshots, "first-visit", whole=False)
    page.evaluate(HALF_WAY)
    expect(page.locator("#waiting-body")).to_contain_text("2 of 6 parts, now ETH/USDT 1h")
    taken(page, screenshots, "first-visit-history", whole=False)
    own_exchange.fault("clear_http")
    expect(page.locator("#content")).to_be_visible(timeout=120_000)
    expect(page.locator(".card").first).to_contain_text("warming")
    taken(page, screenshots, "warming", whole=False)
    expect(page.locator("#live")).to_contain_text("live,")
    own_exchange.liquidate("BTCUSDT", 700_000)
    expect(rows(page).first).to_be_visible()
    expect(page.locator("#market")).to_contain_text("ACTIVE")  # though every signal still warms up
    page.goto("/deliveries")
    expect(page.locator("#endpoints")).to_contain_text("disabled")
    taken(page, screenshots, "deliveries-broken-endpoint")
    context.close()


def signed_in(page: Page, screenshots: Path) -> None:
    """By the form, as a visitor does: first with a wrong token."""
    page.goto("/")
    expect(page.locator("#token")).to_be_visible()
    page.locator("#token").fill("not-the-token-of-this-one")
    page.get_by_role("button", name="Sign in").click()
    expect(page.get_by_role("alert")).to_contain_text("not the token")
    taken(page, screenshots, "sign-in")
    page.locator("#token").fill(TOKEN)
    page.get_by_role("button", name="Sign in").click()


def test_a_crisis_with_its_banner(context: BrowserContext, exchange: Exchange, screenshots: Path) -> None:
    exchange.liquidate("UNIUSDT", 5_000_000)
    for size, (width, height) in SIZES.items():
        page = opened(context.new_page())
        page.set_viewport_size({"width": width, "height": height})
        expect(page.locator(".banner")).to_contain_text("CRITICAL since")
        taken(page, screenshots, f"crisis-{size}", whole=False)
        page.close()
