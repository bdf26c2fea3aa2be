"""A real browser in front of the real service; both are shared by the tests of this folder.

They end with the folder's last test, not with the run: while Playwright's driver lives, its event loop counts as
running in this thread, and no other test of the same worker could start one.
"""

import os
import shutil
from collections.abc import Iterator
from pathlib import Path

import pytest
from playwright.sync_api import Browser, BrowserContext, Page, expect, sync_playwright

from bench.page import FLAGS
from tests.e2e.browser.service import ROOT, Exchange, Receiver, Service, until

CHROMIUM = (
    os.environ.get("REGIMES_TEST_BROWSER") or shutil.which("chromium") or shutil.which("chromium-browser")
)
SCREENSHOTS = ROOT / "build" / "screenshots"
# How long anything may take on a machine that is busy with other tests; nothing waits that long on a calm one.
TIMEOUT_MS = 30_000


TEST_TIMEOUT_S = 300


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """Each step has its own limit, which says what was waited for; the one of the whole test only ends what hangs."""
    for item in items:
        if Path(__file__).parent in item.path.parents:
            item.add_marker(pytest.mark.timeout(TEST_TIMEOUT_S))


@pytest.fixture(scope="package")
def browser() -> Iterator[Browser]:
    if CHROMIUM is None:
        pytest.skip(
            "no Chromium found: install the package chromium, or set REGIMES_TEST_BROWSER to its path"
        )
    expect.set_options(timeout=TIMEOUT_MS)
    with sync_playwright() as playwright:
        chromium = playwright.chromium.launch(executable_path=CHROMIUM, args=list(FLAGS))
        yield chromium
        chromium.close()


@pytest.fixture(scope="package")
def exchange(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Exchange]:
    running = Exchange(tmp_path_factory.mktemp("exchange"))
    yield running
    running.end()


@pytest.fixture(scope="package")
def receiver() -> Iterator[Receiver]:
    running = Receiver()
    yield running
    running.end()


@pytest.fixture(scope="package")
def service(
    browser: Browser, exchange: Exchange, receiver: Receiver, tmp_path_factory: pytest.TempPathFactory
) -> Iterator[Service]:
    """Live, with a cascade in ETH/USDT. Asks for `browser` first, so that nothing is started where there is none."""
    running = Service(tmp_path_factory.mktemp("service"), exchange, WEBHOOKS_ALL=receiver.url)
    running.start()
    exchange.liquidate("ETHUSDT", 900_000)
    until(
        lambda: any(event["symbol"] == "ETH/USDT" for event in running.all_events()), "a cascade in ETH/USDT"
    )
    yield running
    running.end()


@pytest.fixture
def context(browser: Browser, service: Service) -> Iterator[BrowserContext]:
    made = browser.new_context(base_url=service.url, viewport={"width": 1440, "height": 900})
    made.set_default_timeout(TIMEOUT_MS)
    yield made
    made.close()


@pytest.fixture
def faults() -> list[str]:
    """What the page's console complained of; a test that expects none asserts that it is empty."""
    return []


@pytest.fixture
def page(context: BrowserContext, faults: list[str]) -> Page:
    made = context.new_page()
    made.on("console", lambda message: faults.append(message.text) if message.type == "error" else None)
    made.on("pageerror", lambda error: faults.append(str(error)))
    return made


@pytest.fixture(scope="package")
def screenshots() -> Path:
    SCREENSHOTS.mkdir(parents=True, exist_ok=True)
    return SCREENSHOTS
