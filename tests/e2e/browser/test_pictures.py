"""The report of a real day as a reader sees it; its picture stands in the documents."""

from collections.abc import Iterator
from pathlib import Path

import pytest
from playwright.sync_api import Browser, Page, expect

from tests.e2e.browser.looks import OVERFLOW, THEMES, picture
from tests.e2e.browser.service import Process, until
from tests.e2e.browser.test_accessibility import AXE, told

SPAN = ("--since", "2025-01-26", "--until", "2025-01-29")
# Cells that read as one number, or a time, and yet take more than one line.
WRAPPED = """
() => [...document.querySelectorAll('.tile b, td.number, .time, .between')]
  .filter((node) => { const range = document.createRange(); range.selectNodeContents(node); return new Set([...range.getClientRects()].map((r) => Math.round(r.top))).size > 1; })
  .map((node) => node.textContent)
"""


@pytest.fixture(scope="module")
def report(tmp_path_factory: pytest.TempPathFactory, data_dir: Path) -> str:
    folder = tmp_path_factory.mktemp("report")
    file = folder / "crisis.html"
    process = Process(folder, "report", "regimes", "report", str(data_dir), *SPAN, "--out", str(file))
    until(lambda: "crisis.html: " in process.said, "the report is written")
    process.end()
    return file.as_uri()


@pytest.fixture(params=THEMES)
def page(browser: Browser, report: str, request: pytest.FixtureRequest) -> Iterator[Page]:
    made = browser.new_page(viewport={"width": 1000, "height": 1800}, color_scheme=request.param)
    made.goto(report)
    yield made
    made.close()


def test_axe_finds_nothing_in_the_report(page: Page) -> None:
    page.evaluate(AXE)
    found = page.evaluate("axe.run(document, { resultTypes: ['violations'] })")["violations"]
    assert [told(violation) for violation in found] == []


def test_the_report_fits_from_a_small_phone_to_4k_and_breaks_no_number(page: Page) -> None:
    for width in (360, 768, 1280, 3840):
        page.set_viewport_size({"width": width, "height": 900})
        assert page.evaluate(OVERFLOW) <= 0, width
        assert page.evaluate(WRAPPED) == [], width


@pytest.mark.parametrize("page", ["light"], indirect=True)
def test_the_report_of_a_crisis(page: Page) -> None:
    sections = page.locator("section")
    expect(sections.nth(2)).to_contain_text("Market-wide liquidation cascade")
    top, bottom = (sections.nth(number).bounding_box() for number in (0, 2))
    assert top is not None
    assert bottom is not None
    height = bottom["y"] - top["y"] + 300
    picture(page, "crisis", full_page=True, clip={**top, "height": height})
