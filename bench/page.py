"""The page in Chromium: first paint, jumps, answers to a hand, work of an update, memory, bytes of its scripts."""

import os
import re
import shutil
import socket
import subprocess
import sys
import tempfile
import time
import urllib.error
import urllib.request
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from statistics import median
from typing import TYPE_CHECKING, Any, Final

from bench.report import Aim, Report, Result
from regimes.web.static import PAGE_FILES, Assets

if TYPE_CHECKING:
    from playwright.sync_api import Browser, Page

STATIC: Final = Path(__file__).parent.parent / "static"
LIBRARY: Final = "vendor/lightweight-charts.js"
PAGES: Final = ("/", "/realtime", "/deliveries")
ON_DEMAND: Final = frozenset({"event-detail", "score"})
"""Scripts that `/` loads when somebody opens what they draw."""
SLOWER: Final = 4
"""How many times slower the processor is made, as a phone's is."""
SETTLE_S: Final = 1.0
PHONE: Final = {"width": 412, "height": 823}
DESK: Final = {"width": 1440, "height": 900}
FLAGS: Final = (
    "--headless=new",
    "--no-sandbox",
    "--disable-gpu",
    "--disable-background-networking",
    "--disable-component-update",
    "--disable-sync",
    "--no-first-run",
)
VISITS: Final = 3
FULL_VISITS: Final = 10
UPDATES: Final = 600
FULL_UPDATES: Final = 3600
WARM_UPDATES: Final = 300
STARTS_WITHIN_S: Final = 180.0

LCP_MS: Final = 1200.0
INP_MS: Final = 100.0
CLS: Final = 0.02
BLOCKING_MS: Final = 50.0
UPDATE_MS: Final = 8.0
HEAP_KIB: Final = 256.0
"""For an hour of updates, one a second: no more than noise."""
OWN_KIB: Final = 30.0
ALL_KIB: Final = 90.0

# Runs in each page before its own scripts. Blocking time is what long tasks take beyond 50 ms.
WATCH: Final = """
window.vitals = { lcp: 0, cls: 0, inp: 0, blocking: 0 };
const watch = (type, take, more = {}) => new PerformanceObserver((list) => list.getEntries().forEach(take)).observe({ type, buffered: true, ...more });
watch('largest-contentful-paint', (e) => { vitals.lcp = e.startTime; });
watch('layout-shift', (e) => { if (!e.hadRecentInput) vitals.cls += e.value; });
watch('event', (e) => { if (e.interactionId) vitals.inp = Math.max(vitals.inp, e.duration); }, { durationThreshold: 16 });
watch('longtask', (e) => { vitals.blocking += Math.max(0, e.duration - 50); });
"""
# Times every redraw of the page, which is an animation frame of the function `draw`.
STOPWATCH: Final = """
window.costs = [];
const frame = window.requestAnimationFrame;
window.requestAnimationFrame = (work) => frame((now) => {
  const began = performance.now();
  work(now);
  if (work.name === 'draw') window.costs.push(performance.now() - began);
});
"""
# So many updates in which every price and every cascade of every symbol changes, one an animation frame.
UPDATE: Final = """
async (count) => {
  const store = await import('/js/store.js');
  const { costs } = window;
  costs.length = 0;
  for (let i = 0; i < count; i += 1) {
    const features = structuredClone(store.market.features);
    features.timestamp = new Date(Date.parse(features.timestamp) + 1000).toISOString();
    for (const symbol of Object.keys(features.prices)) features.prices[symbol].price *= 1 + (i % 2 ? 0.001 : -0.001);
    for (const one of Object.values(features.packages)) one.cascades.velocity_usd_per_hour = i * 1000;
    store.takeFeatures(features);
    await new Promise(requestAnimationFrame);
    await new Promise((done) => setTimeout(done, 0));
  }
  const sorted = [...costs].sort((a, b) => a - b);
  costs.length = 0;
  return { median: sorted[Math.floor(sorted.length / 2)], p95: sorted[Math.floor(sorted.length * 0.95)], count: sorted.length };
}
"""


def own_scripts(path: str) -> set[str]:
    """Every script of ours that a visit of a page loads, found by following what is sent."""
    html = (STATIC / PAGE_FILES[path]).read_text(encoding="utf-8")
    assets, found = Assets(STATIC), set[str]()
    todo = [*re.findall(r'src="/([\w./-]+\.js)"', html), "js/line-worker.js"]
    while todo:
        name = todo.pop()
        asset = assets.get(f"/{name}")
        if name not in found and asset is not None:
            found.add(name)
            names = re.findall(r'(?:from |import\()"\./([\w-]+)\.js"', asset.body.decode())
            todo += [f"js/{each}.js" for each in names if each not in ON_DEMAND or path == "/deliveries"]
    return found


def squeezed(names: set[str]) -> int:
    """Bytes on the wire, as the server sends them."""
    assets = Assets(STATIC)
    sent = [assets.get(f"/{name}") for name in names]
    return sum(len(asset.gzipped or asset.body) for asset in sent if asset is not None)


def visit(browser: "Browser", url: str, path: str) -> dict[str, float]:
    """What a first visit on a slow phone measures, in ms.

    lcp and blocking: of the load, until the visitor's first move. inp and later: of what the visitor does then, later
    being what long tasks block. cls: the sum of jumps up to the first click.
    """
    context = browser.new_context(base_url=url, viewport=PHONE)  # type: ignore[arg-type]
    try:
        context.add_init_script(WATCH)
        page = context.new_page()
        context.new_cdp_session(page).send("Emulation.setCPUThrottlingRate", {"rate": SLOWER})
        page.goto(path)
        page.locator("#content").wait_for()
        page.wait_for_timeout(SETTLE_S * 1000)
        load: dict[str, float] = page.evaluate("({ ...window.vitals })")
        if path == "/":
            _scroll_to_chart(page)
            page.wait_for_timeout(SETTLE_S * 1000)
        # What moves later is an answer to a hand, which a busy machine may give too late to be taken for one.
        jumped: float = page.evaluate("window.vitals.cls")
        if path == "/":
            page.locator(".events .row").first.click()
            page.locator("[data-filter=severity]").select_option("CRITICAL")
        page.locator("#theme").select_option("dark")
        page.locator("#pause").click()
        page.wait_for_timeout(SETTLE_S * 1000)
        found: dict[str, float] = page.evaluate("window.vitals")
        later = found["blocking"] - load["blocking"]
        return {**load, "cls": jumped, "inp": found["inp"], "later": later}
    finally:
        context.close()


def _scroll_to_chart(page: "Page") -> None:
    """With a wheel, as a visitor does: a browser takes nothing that is painted from then on for a part of the load."""
    page.mouse.move(PHONE["width"] / 2, PHONE["height"] / 2)
    page.mouse.wheel(0, page.locator("#chart").evaluate("(chart) => chart.getBoundingClientRect().top"))
    page.locator("#chart canvas").first.wait_for()


def heap_bytes(page: "Page") -> float:
    """What is in use once the garbage is gone."""
    session = page.context.new_cdp_session(page)
    session.send("HeapProfiler.collectGarbage")
    used: float = session.send("Runtime.getHeapUsage")["usedSize"]
    session.detach()
    return used


def stretch(page: "Page", count: int) -> tuple[dict[str, Any], float]:
    """So many updates: what a redraw cost in ms, and by how many bytes the heap grew, once warm."""
    page.evaluate(UPDATE, WARM_UPDATES)
    before = heap_bytes(page)
    cost: dict[str, Any] = page.evaluate(UPDATE, count)
    return cost, heap_bytes(page) - before


def run(*, full: bool = False) -> Report:
    """Visit a demo that runs in a process of its own."""
    # Only who measures the page needs a browser.
    from playwright.sync_api import sync_playwright  # noqa: PLC0415

    with _demo() as url, sync_playwright() as playwright:
        chromium = playwright.chromium.launch(executable_path=_chromium(), args=list(FLAGS))
        results = [result for path in PAGES for result in _visits(chromium, url, path, full=full)]
        results += _updates(chromium, url, FULL_UPDATES if full else UPDATES)
        chromium.close()
    notes = [
        f"First visits to a running demo, processor {SLOWER} times slowed down, {PHONE['width']} px wide; medians.",
        "Paint and blocking time are those of the load, as Lighthouse counts them: up to a second after the content, when the visitor begins to scroll.",
        "Work for the visitor is what long tasks block from then on: the chart that is scrolled to, an event opened, a filter, a theme.",
        "An update redraws every card, table and the chart; the processor is not slowed down.",
    ]
    return Report(name="page", title="the page in Chromium", results=[*results, *_bytes()], notes=notes)


def _visits(browser: "Browser", url: str, path: str, *, full: bool) -> Iterator[Result]:
    visits = [visit(browser, url, path) for _ in range(FULL_VISITS if full else VISITS)]
    found = {name: median(each[name] for each in visits) for name in visits[0]}
    yield Result(what=f"{path} largest paint", unit="ms", ours=found["lcp"], aim=Aim(LCP_MS))
    yield Result(what=f"{path} slowest answer to a click", unit="ms", ours=found["inp"], aim=Aim(INP_MS))
    yield Result(what=f"{path} layout shift", unit="", ours=found["cls"], aim=Aim(CLS))
    yield Result(what=f"{path} blocking time", unit="ms", ours=found["blocking"], aim=Aim(BLOCKING_MS))
    yield Result(what=f"{path} blocked by work for the visitor", unit="ms", ours=found["later"])


def _updates(browser: "Browser", url: str, count: int) -> Sequence[Result]:
    page = browser.new_page(base_url=url, viewport=DESK)  # type: ignore[arg-type]
    page.add_init_script(STOPWATCH)
    page.goto("/")
    page.locator("#chart canvas").first.wait_for()
    cost, grown = stretch(page, count)
    page.close()
    return [
        Result(what="an update, median", unit="ms", ours=cost["median"], aim=Aim(UPDATE_MS)),
        Result(what="an update, 95 %", unit="ms", ours=cost["p95"], aim=Aim(UPDATE_MS)),
        Result(what=f"heap after {count} updates", unit="KiB", ours=grown / 1024, aim=Aim(HEAP_KIB)),
    ]


def _bytes() -> Iterator[Result]:
    for path in PAGES:
        own = squeezed(own_scripts(path)) / 1024
        yield Result(what=f"{path} own scripts, gzip", unit="KiB", ours=own, aim=Aim(OWN_KIB))
    if (STATIC / LIBRARY).exists():
        everything = squeezed(own_scripts("/") | {LIBRARY}) / 1024
        yield Result(what="all scripts of /, gzip", unit="KiB", ours=everything, aim=Aim(ALL_KIB))


def _chromium() -> str:
    found = (
        os.environ.get("REGIMES_TEST_BROWSER") or shutil.which("chromium") or shutil.which("chromium-browser")
    )
    if found is None:
        raise RuntimeError("no Chromium found: install it, or set REGIMES_TEST_BROWSER to its path")
    return found


@contextmanager
def _demo() -> Iterator[str]:
    """The address of a demo, once it has readings and events."""
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        port: int = probe.getsockname()[1]
    command = [sys.executable, "-m", "regimes", "demo", "--port", str(port)]
    with tempfile.TemporaryDirectory(prefix="regimes-bench-") as folder:
        process = subprocess.Popen(command, cwd=folder, stdout=subprocess.DEVNULL)  # noqa: S603
        try:
            url = f"http://127.0.0.1:{port}"
            _wait_for_event(url, process)
            yield url
        finally:
            process.terminate()
            process.wait()


def _wait_for_event(url: str, process: subprocess.Popen[bytes]) -> None:
    end = time.monotonic() + STARTS_WITHIN_S
    while time.monotonic() < end:
        if process.poll() is not None:
            raise RuntimeError(f"the demo ended with code {process.returncode}")
        try:
            with urllib.request.urlopen(f"{url}/api/events?limit=1") as answer:  # noqa: S310  # loopback
                if b"evt_" in answer.read():
                    return
        except (urllib.error.URLError, ConnectionError):
            pass
        time.sleep(0.1)
    raise RuntimeError(f"the demo has no event after {STARTS_WITHIN_S:g} s")
