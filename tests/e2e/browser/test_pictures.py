"""The picture of a real day that the documents show, drawn from recordings."""

from pathlib import Path

from playwright.sync_api import Browser, expect

from tests.e2e.browser.looks import picture
from tests.e2e.browser.service import Process, until

SPAN = ("--since", "2025-01-26", "--until", "2025-01-29")


def test_the_report_of_a_crisis(browser: Browser, tmp_path: Path, data_dir: Path) -> None:
    page_file = tmp_path / "crisis.html"
    process = Process(tmp_path, "report", "regimes", "report", str(data_dir), *SPAN, "--out", str(page_file))
    until(lambda: "crisis.html: " in process.said, "the report is written")
    process.end()
    page = browser.new_page(viewport={"width": 1000, "height": 1800}, color_scheme="light")
    page.goto(page_file.as_uri())
    sections = page.locator("section")
    expect(sections.nth(2)).to_contain_text("Market-wide liquidation cascade")
    top, bottom = (sections.nth(number).bounding_box() for number in (0, 2))
    assert top is not None
    assert bottom is not None
    height = bottom["y"] - top["y"] + 300
    picture(page, "crisis", full_page=True, clip={**top, "height": height})
    page.close()
