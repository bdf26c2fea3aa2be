from pathlib import Path

import pytest

from bench.fuzz import TARGETS, fuzz
from bench.fuzz.frames import samples
from bench.fuzz.mutation import Mutator

COUNTS = {"frames": 20_000, "rest": 20_000, "config": 500, "tape": 1_000}


@pytest.mark.usefixtures("logging_as_before")
@pytest.mark.parametrize("target", TARGETS)
def test_broken_input_is_read_or_refused_and_never_anything_else(target: str) -> None:
    done = fuzz(target, COUNTS[target], seed=1)
    assert done.given == COUNTS[target]
    assert done.observed is None or done.observed > 10


def test_the_same_seed_draws_the_same_input() -> None:
    first, second = (Mutator(samples(), 3, structured=True) for _ in range(2))
    assert [first.draw() for _ in range(200)] == [second.draw() for _ in range(200)]


def test_an_input_that_brings_a_defect_about_is_kept(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    monkeypatch.setattr("bench.fuzz.others.ROWS", ((b'{"serverTime":1}', lambda _row: 1 // 0),))
    with pytest.raises(ZeroDivisionError):
        fuzz("rest", 100, seed=1)
