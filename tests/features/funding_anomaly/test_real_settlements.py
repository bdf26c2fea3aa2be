"""Every settlement of five years, against an independent computation by polars."""

from pathlib import Path

import polars as pl
import pytest

from regimes.features.base import Status, Universe
from regimes.features.funding_anomaly import FundingAnomaly, FundingReading, FundingSettings
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
