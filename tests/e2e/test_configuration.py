from pathlib import Path

import pytest

from tests.e2e.process import regimes


@pytest.mark.parametrize("command", ["run", "features", "demo", "check-config"])
async def test_every_mistake_in_every_source_is_named_before_anything_starts(
    tmp_path: Path, command: str
) -> None:
    (tmp_path / "config").mkdir()
    (tmp_path / "config" / "regimes.toml").write_text("[fundng]\nx = 1\n[pipeline]\ninterval_seconds = 0\n")
    (tmp_path / ".env").write_text("REGIMES__VENUES__SPOTT=binanceus\nUNRELATED=1\n")
    done = await regimes(tmp_path, command, LOG_LEVEL="CHATTY")
    assert done.code == 2
    lines = done.err.splitlines()
    assert len(lines) == 4
    assert all(line.startswith("configuration: ") for line in lines)
    for words in (
        "config/regimes.toml: fundng.x: there is no section [fundng]; did you mean [funding]?",
        "config/regimes.toml: pipeline.interval_seconds = 0: input should be greater than or equal to 0.1",
        ".env: REGIMES__VENUES__SPOTT: there is no such setting; did you mean REGIMES__VENUES__SPOT?",
        'environment: LOG_LEVEL = "CHATTY": input should be',
    ):
        assert words in done.err


async def test_check_config_says_each_value_and_where_it_came_from(tmp_path: Path) -> None:
    (tmp_path / ".env").write_text("BINANCE_API_KEY=abcdefgh\n")
    done = await regimes(tmp_path, "check-config", REGIMES__SYMBOLS="BTC/USDT")
    assert done.code == 0, done.err
    rows = {line.split("│")[1].strip(): line for line in done.out.splitlines() if line.startswith("│")}
    assert '["BTC/USDT"]' in rows["symbols"]
    assert "environment: REGIMES__SYMBOLS" in rows["symbols"]
    assert "***" in rows["venues.api_key"]
    assert "BINANCE_API_KEY" in done.out
    assert "abcdefgh" not in done.out
    assert "Warm-up for 1 symbol:" in done.out
    assert "Memory: about" in done.out


async def test_the_version_and_the_help_need_no_configuration(tmp_path: Path) -> None:
    (tmp_path / ".env").write_text("REGIMES__NONSENSE=1\n")
    version = await regimes(tmp_path, "--version")
    assert version.code == 0
    assert version.out.startswith("regimes 0.")
    assert (await regimes(tmp_path, "demo", "--help")).code == 0


async def test_an_unknown_command_is_a_mistake_of_the_command_line(tmp_path: Path) -> None:
    done = await regimes(tmp_path, "rum")
    assert done.code == 2
    assert "No such command" in done.err
