from pathlib import Path

import pytest
from typer.testing import CliRunner

from regimes.cli import app
from regimes.errors import ConfigError

RUNNER = CliRunner(env={"COLUMNS": "200"})


@pytest.mark.parametrize(
    ("words", "told"),
    [
        (("backfill", "--timeframes", "1h,7x"), "7x is none of 1m, 3m"),
        (("backfill", "--timeframes", ","), "nothing is none of"),
        (("backfill", "--markets", "moon"), "moon is none of spot, um"),
        (("backfill", "--from", "2d", "--to", "3d"), "--from must be before --to"),
        (("backfill", "--from", "yesterday"), "a moment is written like"),
        (("record", "--kinds", "tea"), "tea is none of candle"),
        (("export",), "Missing option '--to'"),
    ],
)
def test_a_wrong_option_is_named_with_what_it_may_be(words: tuple[str, ...], told: str) -> None:
    done = RUNNER.invoke(app, words)
    assert done.exit_code == 2
    assert told in " ".join(done.output.replace("│", " ").split())


@pytest.mark.parametrize(
    ("words", "told"),
    [
        (
            ("export", "--to", "DIR", "--tables", "engine_state"),
            "no table 'engine_state' to export; there are",
        ),
        (("backfill", "--to-dir", "DIR/out", "--archive", "DIR"), "no zip of the archive with these symbols"),
        (("backfill", "--to-dir", "DIR/a-file/out", "--archive", "DIR"), "cannot be written"),
    ],
)
def test_what_cannot_be_done_is_a_mistake_of_the_operator(
    tmp_path: Path, logging_as_before: None, words: tuple[str, ...], told: str
) -> None:
    (tmp_path / "a-file").touch()
    done = RUNNER.invoke(app, [word.replace("DIR", str(tmp_path)) for word in words])
    assert isinstance(done.exception, ConfigError)
    assert told in str(done.exception)
