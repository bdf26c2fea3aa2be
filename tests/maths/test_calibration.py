"""Isotonic tables and their measures against what they should be by definition."""

import numpy as np
import pytest
from hypothesis import given, strategies as st

from regimes.maths.calibration import Table, brier_skill, calibration_error, isotonic


def test_table_recovers_the_chance_the_data_were_made_with() -> None:
    rng = np.random.default_rng(1)
    score = rng.normal(size=60_000)
    chance = 1 / (1 + np.exp(-score))
    happened = (rng.random(60_000) < chance).astype(float)
    said = isotonic(score, happened)(score)
    assert float(np.mean(np.abs(said - chance))) < 0.02
    assert calibration_error(said, happened) < 0.01
    assert brier_skill(said, happened, happened.mean()) == pytest.approx(
        brier_skill(chance, happened, happened.mean()), abs=0.005
    )


@given(st.lists(st.tuples(st.floats(-5, 5), st.booleans()), min_size=5, max_size=300))
def test_table_never_falls_and_stays_a_probability(pairs: list[tuple[float, bool]]) -> None:
    score = np.array([pair[0] for pair in pairs])
    happened = np.array([float(pair[1]) for pair in pairs])
    said = isotonic(score, happened)(np.linspace(-6, 6, 50))
    assert np.all(np.diff(said) >= -1e-12)
    assert np.all((said >= 0) & (said <= 1))


def test_what_is_unknown_stays_unknown() -> None:
    assert np.isnan(Table((0.0, 1.0), (0.1, 0.9))(np.array([np.nan]))[0])


def test_a_coin_said_to_be_certain_is_half_wrong() -> None:
    happened = np.tile([0.0, 1.0], 500)
    assert calibration_error(np.ones(1_000), happened) == pytest.approx(0.5)
    assert brier_skill(np.ones(1_000), happened, 0.5) == pytest.approx(-1.0)
