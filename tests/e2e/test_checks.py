from pathlib import Path

import pytest

from tests.e2e.process import regimes
from tests.e2e.test_run import against, live_exchange


async def test_selftest_passes_on_a_sound_installation(tmp_path: Path) -> None:
    done = await regimes(tmp_path, "selftest", "--full")
    assert done.code == 0, done.out
    assert "failed" not in done.out
    assert "a burst of 2,000 liquidations" in done.out


@pytest.mark.parametrize(
    "component", ["cascades", "funding", "volatility", "regimes", "correlation", "storage", "webhooks"]
)
async def test_selftest_can_check_one_part_and_show_its_values(tmp_path: Path, component: str) -> None:
    done = await regimes(tmp_path, "selftest", "--component", component, "--verbose")
    assert done.code == 0, done.out
    rows = [line for line in done.out.splitlines() if line.startswith("│")]
    assert rows
    assert all(line.split("│")[1].strip() == component for line in rows)
    assert "expected" in done.out


async def test_doctor_finds_nothing_wrong_where_nothing_is(tmp_path: Path) -> None:
    async with live_exchange() as exchange:
        done = await regimes(tmp_path, "doctor", **against(exchange))
    assert done.code == 0, done.out
    assert "has every configured symbol" in done.out
    assert "writable" in done.out


async def test_doctor_names_a_blocked_venue_and_exits_1(tmp_path: Path) -> None:
    async with live_exchange() as exchange:
        exchange.faults.http.add(451, path="/fapi/")
        done = await regimes(tmp_path, "doctor", **against(exchange))
    assert done.code == 1
    assert "blocked region" in done.out
    assert "has every configured symbol" in done.out


async def test_doctor_says_that_an_exchange_cannot_be_reached(tmp_path: Path) -> None:
    async with live_exchange() as exchange:
        variables = against(exchange)
    done = await regimes(tmp_path, "doctor", **variables)
    assert done.code == 1
    assert "cannot be reached" in done.out
    assert "Traceback" not in done.err


async def test_doctor_notices_a_clock_that_is_an_hour_off(tmp_path: Path) -> None:
    async with live_exchange() as exchange:
        exchange.faults.clock_skew_ms = 3_600_000
        done = await regimes(tmp_path, "doctor", **against(exchange))
    assert "ms behind" in done.out
    assert "set the clock" in done.out


async def test_doctor_names_every_mistake_in_the_configuration(tmp_path: Path) -> None:
    done = await regimes(tmp_path, "doctor", REGIMES__SYMBOLZ="x", LOG_LEVEL="y")
    assert done.code == 1
    assert "REGIMES__SYMBOLZ" in done.out
    assert "LOG_LEVEL" in done.out
