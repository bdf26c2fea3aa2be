"""Every settlement of five years, against an independent computation by polars."""

from pathlib import Path

import numpy as np
import polars as pl
import pytest

from bench.signals import funding
from regimes.features.base import Status, Universe
from regimes.features.funding_anomaly import FundingAnomaly, FundingReading, FundingSettings
from regimes.maths.reversion import chances
from regimes.observations import FundingRate, Tick


def by_polars(settled: pl.DataFrame) -> pl.DataFrame:
    """Mean, deviation, z, percentile of the 30 days up to and with each settlement."""
    last = pl.col("rate").last()
    return (
        settled.with_columns(at=pl.from_epoch("ts", time_unit="ms"))
        .rolling("at", period="30d", closed="right")
        .agg(
            n=pl.len(),
            ts=pl.col("ts").last(),
            rate=last,
            z=(last - pl.col("rate").mean()) / pl.col("rate").std(ddof=1),
            std=pl.col("rate").std(ddof=1),
            percentile=100
            * ((pl.col("rate") < last).sum() + 0.5 * (pl.col("rate") == last).sum())
            / pl.len(),
            persistence=((pl.col("rate") - pl.col("rate").mean()).abs() >= 2 * pl.col("rate").std()).mean(),
        )
    )


@pytest.mark.parametrize("coin", ["BTC", "ETH", "SOL"])
def test_every_settlement_measures_as_polars_says(data_dir: Path, coin: str) -> None:
    settled = pl.read_parquet(data_dir / f"funding/funding_{coin}USDT.parquet")
    symbol = f"{coin}/USDT"
    feature = FundingAnomaly(FundingSettings(), Universe((symbol,)))
    compared = 0
    for row in by_polars(settled).iter_rows(named=True):
        feature.update(FundingRate(row["ts"], "binanceusdm", symbol, row["rate"], 8.0))
        (reading,) = feature.update(Tick(row["ts"] + 1000)).readings
        assert isinstance(reading, FundingReading)
        assert reading.n == row["n"]
        assert reading.rate_8h == row["rate"]
        if row["n"] < 30:
            assert reading.status is Status.WARMING
            assert reading.z_score is None
            continue
        assert reading.percentile == pytest.approx(row["percentile"], abs=1e-9)
        if row["std"] > 1.01e-7:
            compared += 1
            assert reading.z_score == pytest.approx(row["z"], rel=1e-7, abs=1e-7)
            assert reading.is_anomaly is (abs(row["z"]) >= 2)
            assert reading.persistence == pytest.approx(row["persistence"])
    assert compared > 0.9 * len(settled)


def test_the_feature_says_the_probabilities_that_the_evaluation_judges(data_dir: Path) -> None:
    found = funding.walk(data_dir)
    row = found.symbols.index("SOL")
    expected = chances(found.terms[:, row])
    settled = pl.read_parquet(data_dir / "funding/funding_SOLUSDT.parquet")
    feature = FundingAnomaly(FundingSettings(), Universe(("SOL/USDT",)))
    compared = 0
    for ts, rate in settled.iter_rows():
        feature.update(FundingRate(ts, "binanceusdm", "SOL/USDT", rate, 8.0))
        (reading,) = feature.update(Tick(ts + 1000)).readings
        assert isinstance(reading, FundingReading)
        column = round(ts / 28_800_000) - found.first
        if reading.p_revert_24h is not None:
            compared += 1
            assert (reading.p_revert_24h, reading.p_revert_72h) == pytest.approx(tuple(expected[:, column]))
        elif reading.z_score is not None and abs(abs(reading.z_score) - 1) > 1e-6:
            assert np.isnan(expected[0, column])
    assert compared > 200
