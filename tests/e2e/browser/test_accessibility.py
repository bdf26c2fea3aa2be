"""axe-core finds about half of what can be wrong; the rest is checked by hand here."""

import re
from datetime import datetime, timedelta
from pathlib import Path
from typing import Any

import axe_playwright_python
import pytest
from playwright.sync_api import Browser, Page, expect

from tests.e2e.browser.looks import OVERFLOW, PAGES, THEMES, choose_theme, opened, rows, settled
from tests.e2e.browser.service import ROOT, Service

AXE = Path(axe_playwright_python.__file__).with_name("axe.min.js").read_text(encoding="utf-8")
WIDTHS = (360, 768, 1440, 3840)
INTERACTIVE = {"A", "BUTTON", "SELECT", "INPUT", "SUMMARY", "LABEL", "OPTION", "DIALOG", "FORM"}
# (text or mark, ground, least contrast): the colours the canvas draws with, which axe cannot see, and all badges.
PAIRS = [
    ("--text", "--panel", 4.5),
    ("--quiet", "--panel", 4.5),
    ("--quiet", "--ground", 4.5),
    ("--up", "--panel", 3.0),
    ("--down", "--panel", 3.0),
    *((f"--{way}", f"--{way}-ground", 4.5) for way in ("up", "down")),
    *((f"--{severity}", "--panel", 4.5) for severity in ("info", "warning", "critical")),
    *((f"--edge-{state}", f"--band-{state}", 4.5) for state in ("high", "explosive", "extreme")),
    *((f"--{level}", f"--{level}-ground", 4.5) for level in ("calm", "info", "warning", "critical", "off")),
]


@pytest.mark.parametrize("theme", THEMES)
@pytest.mark.parametrize("path", PAGES)
def test_axe_finds_nothing(page: Page, path: str, theme: str) -> None:
    opened(page, path)
    choose_theme(page, theme)
    if path == "/":
        page.locator(".events .row").first.click()
        page.locator("#chart summary").click()
        expect(page.locator(".detail li, .detail p").first).to_be_visible()
    settled(page).evaluate(AXE)
    found = page.evaluate("axe.run(document, { resultTypes: ['violations'] })")["violations"]
    assert [told(violation) for violation in found] == []


def told(violation: dict[str, Any]) -> str:
    """One finding of axe in a line."""
    where = "; ".join(
        node["html"][:120] + " " + str(node.get("failureSummary", ""))[-200:]
        for node in violation["nodes"][:3]
    )
    return f"{violation['id']}: {where}"


@pytest.mark.parametrize("path", PAGES)
def test_no_page_scrolls_sideways_from_a_small_phone_to_4k(page: Page, path: str) -> None:
    opened(page, path)
    for width in WIDTHS:
        page.set_viewport_size({"width": width, "height": 900})
        page.evaluate("new Promise(requestAnimationFrame)")
        assert page.evaluate(OVERFLOW) <= 0, width


@pytest.mark.parametrize("path", PAGES)
def test_the_keyboard_reaches_everything_and_shows_where_it_is(page: Page, path: str) -> None:
    opened(page, path)
    wanted = page.evaluate("""() => [...document.querySelectorAll('a[href], button, select, summary, [tabindex="0"]')]
      .filter((n) => !n.disabled && n.checkVisibility({ contentVisibilityAuto: false })).length""")
    seen: set[int] = set()
    page.evaluate("document.activeElement.blur()")
    for step in range(wanted + 3):
        page.keyboard.press("Tab")
        focus = page.evaluate("""() => {
          const n = document.activeElement;
          window.order ??= new Map();
          if (!window.order.has(n)) window.order.set(n, window.order.size);
          const style = getComputedStyle(n);
          return [window.order.get(n), n.textContent.trim().slice(0, 40), n.tagName, style.outlineStyle, parseFloat(style.outlineWidth)];
        }""")
        if focus[2] == "BODY":
            continue
        if step == 0:
            assert focus[1] == "Skip to the content"
        assert focus[3] not in {"none", "hidden"}, f"no visible focus on {focus}"
        assert focus[4] >= 2, f"thin focus on {focus}"
        seen.add(focus[0])
    assert len(seen) >= wanted


def test_every_table_has_header_cells_that_say_what_they_head(page: Page) -> None:
    for path in PAGES:
        opened(page, path)
        headless = page.evaluate("""() => [...document.querySelectorAll('table')].filter((t) => !t.closest('[role=img]'))
          .filter((t) => !t.caption || !t.querySelector('thead th') || [...t.querySelectorAll('th')].some((c) => !c.scope))
          .map((t) => t.outerHTML.slice(0, 200))""")
        assert headless == []


def test_every_canvas_is_inside_something_that_has_a_name(page: Page) -> None:
    opened(page)
    names = page.locator("canvas").evaluate_all(
        "all => all.map((c) => c.closest('[role=img]')?.getAttribute('aria-label') ?? '')"
    )
    assert names
    assert all(len(name) > 20 for name in names)


@pytest.mark.parametrize("theme", THEMES)
def test_colours_that_axe_cannot_see_have_contrast(page: Page, theme: str) -> None:
    opened(page)
    choose_theme(page, theme)
    for ink, ground, least in PAIRS:
        assert _contrast(_rgb(page, ink), _rgb(page, ground)) >= least, f"{ink} on {ground}"


def _rgb(page: Page, name: str) -> list[float]:
    """The colour of a custom property, laid over a panel where light shines through."""
    text = page.evaluate(
        "(name) => { const n = document.createElement('i'); n.style.color = `var(${name})`; document.body.append(n);"
        " const c = getComputedStyle(n).color; n.remove(); return c; }",
        name,
    )
    *rgb, share = [*(float(each) for each in re.findall(r"[\d.]+", text)), 1.0][:4]
    below = [0.0] * 3 if share == 1 else _rgb(page, "--panel")
    return [share * one + (1 - share) * other for one, other in zip(rgb, below, strict=True)]


def _contrast(one: list[float], other: list[float]) -> float:
    """Relative luminances by WCAG 2.2."""

    def luminance(rgb: list[float]) -> float:
        r, g, b = ((c / 3294.6 if c <= 10.31 else ((c / 255 + 0.055) / 1.055) ** 2.4) for c in rgb)
        return 0.2126 * r + 0.7152 * g + 0.0722 * b

    dark, light = sorted((luminance(one), luminance(other)))
    return (light + 0.05) / (dark + 0.05)


def test_no_state_is_told_by_colour_alone(page: Page) -> None:
    for path in PAGES:
        opened(page, path)
        marks = page.locator(".badge").evaluate_all(
            "all => all.map((n) => [n.dataset.level, n.querySelector('.shape').textContent, n.querySelector('.word').textContent])"
        )
        assert marks
        assert all(shape and word for _, shape, word in marks)
        shapes = {level: shape for level, shape, _ in marks}
        graves = [shapes[level] for level in ("warning", "critical", "off") if level in shapes]
        assert len(set(graves)) == len(graves)


def test_only_real_controls_can_be_clicked(page: Page) -> None:
    opened(page)
    page.locator(".events .row").first.click()
    session = page.context.new_cdp_session(page)
    everything = session.send("Runtime.evaluate", {"expression": "document.querySelectorAll('body *')"})
    nodes = session.send(
        "Runtime.getProperties", {"objectId": everything["result"]["objectId"], "ownProperties": True}
    )
    for each in nodes["result"]:
        handle = each.get("value", {})
        if handle.get("subtype") != "node" or "canvas" in handle["description"]:
            continue
        listeners = session.send("DOMDebugger.getEventListeners", {"objectId": handle["objectId"]})[
            "listeners"
        ]
        if any(listener["type"] in {"click", "mousedown", "pointerdown"} for listener in listeners):
            inside = session.send("Runtime.callFunctionOn", {
                "objectId": handle["objectId"],
                "functionDeclaration": "function () { return this.closest('.plot') ? 'CHART' : this.tagName; }",
            })["result"]["value"]  # fmt: skip
            assert inside in INTERACTIVE | {"CHART"}, handle["description"]


def test_nothing_takes_the_focus_ring_away() -> None:
    css = (ROOT / "static" / "style.css").read_text(encoding="utf-8")
    assert not re.search(r"outline(-width|-style)?\s*:\s*(none|0)\b", css)


def test_screen_readers_hear_events_politely_and_are_interrupted_once_by_a_critical_one(page: Page) -> None:
    opened(page)
    assert page.locator("[aria-live=assertive], [role=alert]").count() == 1
    assert page.evaluate("document.getElementById('loud').getAttribute('role')") == "alert"
    page.evaluate("""async () => {
      const { takeEvent } = await import('/js/store.js');
      window.heard = { polite: 0, loud: 0 };
      for (const id of ['polite', 'loud'])
        new MutationObserver(() => { window.heard[id] += 1; }).observe(document.getElementById(id), { childList: true, characterData: true, subtree: true });
      const now = new Date().toISOString();
      for (let i = 0; i < 30; i += 1) {
        takeEvent({ id: `evt_noise${i % 10}`, revision: i, event_type: 'REGIME_SHIFT', symbol: 'BTC/USDT', severity: 'INFO', title: `noise ${i}`,
          why: '', description: '', data: {}, phase: 'updated', started: now, timestamp: now, source: 'REGIME' });
        takeEvent({ id: 'evt_grave', revision: i, event_type: 'REGIME_SHIFT', symbol: 'BTC/USDT', severity: 'CRITICAL', title: `grave ${i}`,
          why: '', description: '', data: {}, phase: 'updated', started: now, timestamp: now, source: 'REGIME' });
        await new Promise((resolve) => setTimeout(resolve, 100));
      }
    }""")
    expect(page.locator("#polite")).to_contain_text("11 changes")
    heard = page.evaluate("window.heard")
    assert heard["loud"] == 1
    assert 1 <= heard["polite"] <= 2


def test_screen_readers_hear_of_the_market_and_of_a_line_that_is_down(page: Page) -> None:
    opened(page)
    page.evaluate("""async () => {
      const { market, take, takeFeatures } = await import('/js/store.js');
      const before = market.features.market.state;
      const state = before === 'ACTIVE' ? 'CRISIS' : 'ACTIVE';
      takeFeatures({ ...structuredClone(market.features), market: { ...market.features.market, state } });
      take({ kind: 'link', state: 'reconnecting', since: Date.now() });
    }""")
    expect(page.locator("#polite")).to_have_text(re.compile("The market is now (ACTIVE|CRISIS)"))
    expect(page.locator("#polite")).to_contain_text("reconnecting to the service")


def test_times_are_local_with_utc_on_hover_and_digits_have_one_width(
    browser: Browser, service: Service
) -> None:
    context = browser.new_context(base_url=service.url, timezone_id="Asia/Kolkata", locale="en-GB")
    page = opened(context.new_page())
    rows(page).first.locator("button").first.click()
    times = page.locator("time").evaluate_all("all => all.map((n) => [n.dateTime, n.title, n.textContent])")
    assert times
    for moment, title, shown in times:
        utc = datetime.fromisoformat(moment)
        assert title == utc.strftime("%Y-%m-%d %H:%M:%S UTC")
        assert (utc + timedelta(hours=5, minutes=30)).strftime("%H:%M") in shown
    for place in (".card .price", ".events time", ".frames td", ".strip .number", ".readout"):
        assert (
            page.locator(place).first.evaluate("n => getComputedStyle(n).fontVariantNumeric")
            == "tabular-nums"
        )
    context.close()


def test_nothing_flashes_and_nothing_moves_for_those_who_asked_for_stillness(page: Page) -> None:
    page.emulate_media(reduced_motion="reduce")
    opened(page)
    page.evaluate("""async () => {
      const { takeEvent } = await import('/js/store.js');
      const now = new Date().toISOString();
      takeEvent({ id: 'evt_still', revision: 0, event_type: 'REGIME_SHIFT', symbol: 'BTC/USDT', severity: 'CRITICAL', title: 'still',
        why: '', description: '', data: {}, phase: 'opened', started: now, timestamp: now, source: 'REGIME' });
    }""")
    expect(page.locator(".banner")).to_be_visible()
    assert page.evaluate("document.getAnimations().length") == 0
    css = (ROOT / "static" / "style.css").read_text(encoding="utf-8")
    assert "infinite" not in css
