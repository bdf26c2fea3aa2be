"""What a page says before its scripts run."""

import html
from pathlib import Path
from typing import Any

import pytest

from regimes.clock import ScaledClock
from regimes.web.first import why, with_market
from regimes.web.shapes import Market
from regimes.web.static import PAGE_FILES, folder
from tests.loopback import START_MS
from tests.web.service import liquidation, service

HOSTILE = "<img src=x onerror=alert(1)>"


@pytest.mark.parametrize(
    ("critical", "warning", "words"),
    [
        ([], [], "no signal alerts"),
        (["cascades BTC/USDT", "cascades ETH/USDT"], [], "critical: cascades (BTC/USDT, ETH/USDT)"),
        (
            ["correlations ALL"],
            ["funding A B"],
            "critical: correlations (whole market) · warning: funding (A B)",
        ),
    ],
)
def test_what_alerts_is_grouped_by_signal(critical: list[str], warning: list[str], words: str) -> None:
    assert why(Market("ACTIVE", "", critical, warning)) == words


@pytest.mark.parametrize("file", PAGE_FILES.values())
@pytest.mark.parametrize(
    ("state", "level"), [("NORMAL", "calm"), ("ACTIVE", "warning"), ("CRISIS", "critical")]
)
def test_every_page_has_room_for_the_state_and_a_symbol_is_text_in_it(
    file: str, state: str, level: str
) -> None:
    page = (folder() / file).read_text(encoding="utf-8")
    said = with_market(page, Market(state, "", [f"cascades {HOSTILE}"], []))
    assert f'<p class="summary" id="summary">Market {state} · critical: cascades (' in said
    assert f'id="market" data-level="{level}"' in said
    assert f'<span class="word">{state}</span>' in said
    assert HOSTILE not in said
    assert html.escape(HOSTILE) in said


async def test_a_page_begins_with_the_state_of_the_market_and_follows_it(tmp_path: Path) -> None:
    async with service(tmp_path, clock=ScaledClock(START_MS, 1.0)) as running:
        _, before, headers = await running.get("/")
        assert b"Market NORMAL \xc2\xb7 no signal alerts." in before
        status, _, _ = await running.get("/", headers={"If-None-Match": headers["ETag"]})
        assert status == 304
        now_ms = running.pipeline.clock.now_ms()
        running.feed(liquidation("ETH/USDT", now_ms, 900_000.0))
        running.tick(now_ms + 5_000)
        status, after, _ = await running.get("/realtime", headers={"If-None-Match": headers["ETag"]})
        assert status == 200
        assert b"critical: cascades (ETH/USDT)" in after


@pytest.mark.parametrize("known", [{"live": False}, {"history": False}])
async def test_before_a_signal_has_a_value_a_page_claims_no_state(
    tmp_path: Path, known: dict[str, Any]
) -> None:
    async with service(tmp_path, **known) as running:
        _, page, _ = await running.get("/")
        assert b'<p class="summary" id="summary"></p>' in page
        assert b"NORMAL" not in page


async def test_who_may_not_read_sees_no_state(tmp_path: Path) -> None:
    async with service(tmp_path, web={"token": "a-token-of-24-characters"}) as running:
        _, page, _ = await running.get("/")
        assert b"Market NORMAL" not in page
