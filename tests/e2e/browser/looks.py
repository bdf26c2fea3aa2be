"""Questions to a page that more than one test asks."""

import os
from typing import Any, Final

from playwright.sync_api import Locator, Page, expect

from tests.e2e.browser.service import ROOT

PAGES = ("/", "/realtime", "/deliveries")
THEMES = ("light", "dark")

PICTURES: Final = ROOT / ("docs/pictures" if "REGIMES_PICTURES" in os.environ else "build/pictures")

# Milliseconds from the call until a row of this event stands in the list, measured inside the page.
APPEARS = """
(text) => new Promise((resolve) => {
  const find = () => [...document.querySelectorAll('.events [role=listitem]')].find((row) => row.textContent.includes(text));
  if (find()) return resolve(Date.now());
  const observer = new MutationObserver(() => find() && (observer.disconnect(), resolve(Date.now())));
  observer.observe(document.body, { childList: true, subtree: true, characterData: true });
})
"""
OVERFLOW = "() => document.documentElement.scrollWidth - document.documentElement.clientWidth"


def opened(page: Page, path: str = "/") -> Page:
    """Go to a page and wait until it shows what it is for."""
    page.goto(path)
    expect(page.locator("#content")).to_be_visible()
    expect(page.locator("#live")).to_contain_text("live")
    if path.startswith("/#") or path == "/":
        expect(page.locator("#correlations tbody tr").first).to_be_visible()
        page.locator("#chart").scroll_into_view_if_needed()
        expect(page.locator("#chart summary")).to_be_visible()
        page.evaluate("scrollTo(0, 0)")
    return page


def settled(page: Page) -> Page:
    """Wait until nothing moves: a banner that fades in has no contrast half-way."""
    page.wait_for_function("() => document.getAnimations().every((each) => each.playState === 'finished')")
    return page


def picture(page: Page, name: str, **options: Any) -> None:
    """Take one of the pictures of the documents: into `docs/pictures` with REGIMES_PICTURES=1, else only to look at."""
    PICTURES.mkdir(parents=True, exist_ok=True)
    file = PICTURES / f"{name}.jpg"
    settled(page).screenshot(path=file, type="jpeg", quality=60, **options)
    assert file.stat().st_size > 5_000


def rows(page: Page) -> Locator:
    """The rows of the event list."""
    return page.locator(".events [role=listitem]")


def choose_theme(page: Page, theme: str) -> None:
    """Through the control, as a visitor does."""
    page.locator("#theme").select_option(theme)
    expect(page.locator("html")).to_have_attribute("data-theme", theme)


def states(page: Page) -> dict[str, dict[str, Any]]:
    """Every row of the list by event: newest revision, all revisions that came, and how many rows it has."""
    found: dict[str, dict[str, Any]] = {}
    script = "nodes => nodes.map(n => [n.dataset.id, +n.dataset.revision, n.dataset.states])"
    for event_id, revision, seen in rows(page).evaluate_all(script):
        entry = found.setdefault(event_id, {"rows": 0})
        entry.update(revision=revision, seen=seen.split(","), rows=entry["rows"] + 1)
    return found
