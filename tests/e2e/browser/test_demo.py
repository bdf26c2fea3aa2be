"""The demo as a visitor sees it: what happens on the page, and the messages in the inbox."""

import re
from collections.abc import Iterator

import pytest
from playwright.sync_api import Browser, BrowserContext, Page, expect

from bench import page as measured
from tests.e2e.browser.looks import OVERFLOW, PAGES, THEMES, choose_theme, opened, picture, rows, settled
from tests.e2e.browser.service import Process, ask, free_port, until
from tests.e2e.browser.test_accessibility import AXE, told

SPEED = "240"
"""Four times the speed a visitor gets, so that the two minutes of the story take half a minute."""
RECEIVERS = ("discord", "telegram", "slack", "http")
NASTY = "<img src=x onerror=document.title='owned'>"


@pytest.fixture(scope="package")
def demo_url(browser: Browser, tmp_path_factory: pytest.TempPathFactory) -> Iterator[str]:
    del browser
    port = str(free_port())
    process = Process(
        tmp_path_factory.mktemp("demo"), "demo", "regimes", "demo", "--port", port, "--speed", SPEED
    )
    until(lambda: "history fetched" in process.said, "the demo runs")
    yield f"http://127.0.0.1:{port}"
    process.end()


@pytest.fixture
def context(browser: Browser, demo_url: str) -> Iterator[BrowserContext]:
    made = browser.new_context(base_url=demo_url, viewport={"width": 1440, "height": 900})
    made.set_default_timeout(60_000)
    yield made
    made.close()


def inbox(page: Page) -> Page:
    page.goto("/demo/inbox")
    expect(page.locator("#live")).to_contain_text("live")
    for name in RECEIVERS:
        expect(page.locator(f".{name} .message").first).to_be_visible()
    return page


def test_the_page_tells_the_story_of_the_demo(page: Page, faults: list[str]) -> None:
    opened(page)
    expect(page.locator(".bar nav a", has_text="Inbox")).to_have_attribute("href", "/demo/inbox")
    expect(page.locator("#speed")).to_have_text(re.compile(f"time .{SPEED}"))
    cascade = (
        rows(page).filter(has_text="BTC/USDT").filter(has_text=re.compile("[Ll]iquidation cascade")).last
    )
    expect(cascade).to_contain_text("CRITICAL")
    expect(cascade).to_contain_text("cascade over")
    expect(cascade).to_have_attribute("data-open", "no")
    for title in ("Correlation broke", "Volatility: HIGH_VOL"):
        expect(rows(page).filter(has_text=title).first).to_be_visible()
    expect(page.locator(".matrix td[data-broken]").first).to_contain_text("broken")
    expect(page.locator('.card[data-symbol="BTC/USDT"]')).to_contain_text("HIGH_VOL")
    picture(page, "dashboard")
    cascade.locator("button").first.click()
    expect(cascade.locator(".detail li .badge").first).to_be_visible()
    page.set_viewport_size({"width": 900, "height": 900})
    cascade.evaluate("row => { row.scrollIntoView(); scrollBy(0, -120); }")  # below the bar
    picture(page, "event")
    assert faults == []


@pytest.mark.parametrize("path", [*PAGES, "/demo/inbox"])
def test_nothing_jumps_when_the_bar_gets_its_further_link(browser: Browser, demo_url: str, path: str) -> None:
    found = measured.visit(browser, demo_url, path)
    print(f"\n{path} of the demo: layout shift {found['cls']:.3g}")
    assert found["cls"] <= measured.CLS


def test_each_receiver_shows_the_message_as_its_program_does(page: Page, faults: list[str]) -> None:
    inbox(page)
    embed = page.locator(".discord .embed").first
    expect(embed.locator(".title")).to_contain_text("liquidation cascade")
    expect(embed.locator(".fields .inline").first).to_contain_text("Severity")
    bar = embed.evaluate("n => getComputedStyle(n).borderLeftColor")
    assert bar in {"rgb(231, 76, 60)", "rgb(46, 204, 113)"}
    bubble = page.locator(".telegram .message").first
    expect(bubble.locator(".bubble b").first).to_contain_text("liquidation cascade")
    expect(bubble.locator(".keys a")).to_have_text(["View on dashboard", "More info"])
    expect(page.locator(".slack .message .title").first).to_contain_text("liquidation cascade")
    expect(page.locator(".slack .message .fields .text b").first).to_have_text("Severity")
    http = page.locator(".http .message").first
    expect(http.locator("summary")).to_contain_text("signature verified")
    assert '"event_type": "LIQUIDATION_CASCADE"' in http.locator("pre").inner_text()
    picture(page, "inbox")
    assert faults == []


def test_an_edit_changes_the_message_where_it_stands(page: Page) -> None:
    inbox(page)
    for name in ("discord", "telegram"):
        edited = page.locator(f".{name} .message[data-edited]").first
        expect(edited).to_contain_text("edited")
        numbers = page.locator(f".{name} .message").evaluate_all("all => all.map((n) => n.dataset.number)")
        assert len(set(numbers)) == len(numbers)
    expect(page.locator(".slack .message[data-edited]")).to_have_count(0)


def test_a_link_of_a_message_opens_its_event_on_this_dashboard(page: Page) -> None:
    inbox(page)
    page.locator(".telegram .keys a", has_text="View on dashboard").first.click()
    expect(page).to_have_url(re.compile(r"/\?event=evt"))
    expect(page.locator(".events .detail")).to_be_visible()


def test_new_messages_come_by_themselves_and_wait_while_the_page_is_paused(page: Page, demo_url: str) -> None:
    inbox(page)
    page.locator("#pause").click()
    expect(page.locator("#pause")).to_have_attribute("aria-pressed", "true")
    before = page.locator(".http .message").count()
    newest = ask(f"{demo_url}/api/demo/inbox")["revision"]
    ask(f"{demo_url}/api/endpoints/http-all-1/test", {}, "POST", {"X-Requested-With": "regimes"})
    until(lambda: ask(f"{demo_url}/api/demo/inbox")["revision"] > newest, "the test message arrived")
    page.wait_for_timeout(500)  # the claim is that nothing is drawn in this time
    assert page.locator(".http .message").count() == before
    page.locator("#pause").click()
    expect(page.locator(".http .message").nth(before)).to_be_attached()


@pytest.mark.parametrize("theme", THEMES)
def test_axe_finds_nothing_in_the_inbox(page: Page, theme: str) -> None:
    inbox(page)
    choose_theme(page, theme)
    settled(page).evaluate(AXE)
    found = page.evaluate("axe.run(document, { resultTypes: ['violations'] })")["violations"]
    assert [told(violation) for violation in found] == []


def test_the_inbox_fits_from_a_small_phone_to_4k(page: Page) -> None:
    inbox(page)
    for width in (360, 768, 1440, 3840):
        page.set_viewport_size({"width": width, "height": 900})
        page.evaluate("new Promise(requestAnimationFrame)")
        assert page.evaluate(OVERFLOW) <= 0, width


def test_markup_in_a_message_is_shown_as_text_and_only_web_addresses_are_links(page: Page) -> None:
    inbox(page)
    shown = page.evaluate(
        """async (nasty) => {
          const markup = await import('/demo/markup.js');
          const box = document.createElement('div');
          document.querySelector('main').append(box);
          const entities = nasty.replaceAll('<', '&lt;').replaceAll('>', '&gt;');
          const pieces = [markup.discord(nasty), markup.telegram(entities), markup.telegram(nasty), markup.slack(entities), markup.json({ [nasty]: nasty })].flat();
          box.append(...pieces, markup.link('javascript:alert(1)', 'bad'), ...markup.discord('[bad](javascript:alert)'));
          return [box.textContent, box.querySelectorAll('img').length, box.querySelectorAll('a').length, document.title];
        }""",
        NASTY,
    )
    assert shown[0].count(NASTY) == 6
    assert shown[1:3] == [0, 0]
    assert "owned" not in shown[3]


def test_each_markup_is_read_as_its_program_reads_it(page: Page) -> None:
    inbox(page)
    html = page.evaluate(
        r"""async () => {
          const markup = await import('/demo/markup.js');
          const read = (pieces) => { const box = document.createElement('div'); box.append(...pieces); return box.innerHTML; };
          return [
            read(markup.discord('5 \\* 3 \\_a\\_ [See \\[it\\]](https://example.com/a)')),
            read(markup.telegram('<b>A &amp; B</b>: x &lt; 3 <i>old</i>')),
            read(markup.slack('*Severity*\n5 of 5 &amp; <https://example.com/a|More &gt;> 2*3*4')),
          ];
        }"""
    )
    link = '<a href="https://example.com/a" rel="noreferrer">{}</a>'
    assert html == [
        "5 * 3 _a_ " + link.format("See [it]"),
        "<b>A &amp; B</b>: x &lt; 3 <i>old</i>",
        "<b>Severity</b>\n5 of 5 &amp; " + link.format("More &gt;") + " 2*3*4",
    ]
