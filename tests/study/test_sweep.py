import pytest

from regimes.config.features import installed
from regimes.errors import ConfigError
from regimes.study.grid import DEFAULT, one_by_one, parse, variants
from regimes.study.replay import choose_stretch, replay
from regimes.study.sweep import sweep
from regimes.timeframe import DAY_MS
from tests.study.market import START_MS, whole
from tests.study.test_replay import settings

GRID = {
    "liquidation.cascade_threshold_usd": (50_000.0, 100_000.0),
    "funding.anomaly_z_threshold": (1.5, 2.0),
    "volatility.min_dwell_hours": (0.0, 6.0),
    "alerting.cooldown_minutes": (0.0, 1440.0),
}


@pytest.mark.parametrize("workers", [1, 2])
def test_a_sweep_gives_to_the_letter_what_single_runs_give(workers: int) -> None:
    source, from_ms = whole(45), START_MS + 35 * DAY_MS
    points = variants(settings(), GRID)
    assert len(points) == 16
    stretch = choose_stretch(source, settings(), from_ms, None, symbols=None, features=installed())
    swept = sweep(source, stretch, points, workers=workers)
    for point in points[:: 16 // 4 * workers + 1]:
        alone = replay(source, point.settings, from_ms)
        found = swept.of(point)
        assert found.events == alone.events
        assert (found.judged.decisions, found.judged.messages) == (alone.decisions, alone.messages)
    told = {len(swept.of(point).judged.messages) for point in points}
    assert len(told) > 3, "the settings make a difference"


def test_each_part_is_worked_out_once() -> None:
    source, seen = whole(20), list[tuple[int, int]]()
    stretch = choose_stretch(source, settings(), None, None, symbols=None, features=installed())
    sweep(source, stretch, variants(settings(), GRID), workers=1, done=lambda *counts: seen.append(counts))
    # Two of cascades, funding and volatility, one of regimes and correlations.
    assert seen == [(n, 8) for n in range(1, 9)]


def test_an_error_in_a_worker_is_the_error_here() -> None:
    source = whole(3)
    stretch = choose_stretch(source, settings(), None, None, symbols=None, features=installed())
    broken = variants(settings(), GRID)
    source._observations = None  # type: ignore[assignment]
    with pytest.raises(TypeError):
        sweep(source, stretch, broken, workers=2)


def test_the_default_grid_holds_for_the_defaults() -> None:
    points = variants(settings(liquidation={}), DEFAULT)
    assert len(points) == 81
    assert len(one_by_one(settings(liquidation={}), DEFAULT)) == 13


def test_values_are_numbers_and_words_as_written() -> None:
    assert parse(["a.b=1.5, 2,3,2", "c.d=both,absolute", "e.f=true"]) == {
        "a.b": (1.5, 2, 3),
        "c.d": ("both", "absolute"),
        "e.f": (True,),
    }


@pytest.mark.parametrize("text", ["funding.anomaly_z_threshold", "funding.anomaly_z_threshold=", "=,"])
def test_a_key_without_values_is_refused(text: str) -> None:
    with pytest.raises(ConfigError, match="write key=value,value"):
        parse([text])


@pytest.mark.parametrize(
    "path", ["funding.nothing", "nothing.at_all", "pipeline.interval_seconds", "symbols"]
)
def test_only_settings_of_signals_and_policy_can_be_tried(path: str) -> None:
    with pytest.raises(ConfigError, match=f"{path}: there is no such setting to try"):
        variants(settings(), {path: (1,)})


def test_a_value_that_breaks_a_rule_is_refused_with_its_combination() -> None:
    with pytest.raises(ConfigError, match=r"funding.anomaly_z_threshold = 9.*must hold"):
        variants(settings(), {"funding.anomaly_z_threshold": (2, 9)})


def test_a_grid_too_large_is_refused_before_anything_runs() -> None:
    with pytest.raises(ConfigError, match="1,000,000 points"):
        variants(
            settings(),
            {
                f"volatility.{key}": range(100)
                for key in ("leave_factor", "min_dwell_hours", "explosive_ratio")
            },
        )
