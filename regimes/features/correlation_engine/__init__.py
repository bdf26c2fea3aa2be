"""How symbols move together: correlation against its normal, breaks, and who leads.

The feature is `CorrelationEngine`. The functions work on plain arrays and frames as well:

>>> import numpy as np
>>> noise = np.random.Generator(np.random.PCG64(1)).normal(0, 0.01, (3, 888))
>>> together = noise[0] + 0.3 * noise[1]
>>> apart = np.where(np.arange(888) < 720, together, noise[2])
>>> found = compare(noise[0], apart)
>>> round(found.normal, 1), abs(found.current) < 0.2, found.is_break
(1.0, True, True)
"""

from typing import NamedTuple

import numpy as np
import numpy.typing as npt
import polars as pl

from regimes.features.correlation_engine.feature import CorrelationEngine
from regimes.features.correlation_engine.leaders import Leadership, find_leader, find_leader_in_minutes
from regimes.features.correlation_engine.pairs import NORMAL_HOURS, NORMAL_NEEDED, WEEK_HOURS, WEEK_NEEDED
from regimes.features.correlation_engine.reading import CorrelationReading, MarketCorrelationReading
from regimes.features.correlation_engine.settings import CorrelationSettings
from regimes.maths.correlation import fisher_z, is_break, pearson_matrix

__all__ = [
    "Comparison",
    "CorrelationEngine",
    "CorrelationReading",
    "CorrelationSettings",
    "Leadership",
    "MarketCorrelationReading",
    "compare",
    "correlation_matrix",
    "find_leader",
    "find_leader_in_minutes",
    "fisher_z",
    "is_break",
    "pearson_matrix",
]


class Comparison(NamedTuple):
    """A correlation now and before; None where data are too few or a series does not move."""

    current: float | None
    normal: float | None
    change: float | None
    fisher_z: float | None
    is_break: bool


def compare(
    first: npt.ArrayLike,
    second: npt.ArrayLike,
    *,
    hours: int = WEEK_HOURS,
    needed: int = WEEK_NEEDED,
    settings: CorrelationSettings | None = None,
) -> Comparison:
    """The correlation of two return series over the last `hours`, against the 720 hours before those.

    Both of shape (n,) with n >= hours + 720, oldest first, NaN where missing. needed: common returns the
    recent window wants (the normal one wants 500).
    """
    returns = np.array([first, second], dtype=np.float64)
    if returns.shape[1] < hours + NORMAL_HOURS:
        raise ValueError(
            f"compare needs {hours + NORMAL_HOURS} returns, {hours} of them recent (got {returns.shape[1]})"
        )
    rules = settings or CorrelationSettings()
    recent = pearson_matrix(returns[:, -hours:], at_least=needed)
    before = pearson_matrix(returns[:, -hours - NORMAL_HOURS : -hours], at_least=NORMAL_NEEDED)
    current, normal = float(recent.r[0, 1]), float(before.r[0, 1])
    z = float(fisher_z(current, recent.n[0, 1], normal, before.n[0, 1]))
    change = current - normal
    broken = is_break(change, z, min_change=rules.min_change, min_z=rules.min_fisher_z)
    current_, normal_, change_, z_ = (None if np.isnan(x) else x for x in (current, normal, change, z))
    return Comparison(current_, normal_, change_, z_, bool(broken))


def correlation_matrix(closes: pl.DataFrame, *, at_least: int = 3) -> pl.DataFrame:
    """Pearson's r of the log returns of every pair of columns.

    closes: one column of closes a symbol, one row a bar on an even grid, null where a bar is missing; a return
    needs two neighbouring bars. Answers a frame with a column `symbol` and one column for each symbol.

    >>> closes = pl.DataFrame({"BTC": [100.0, 110.0, 99.0, 105.0], "ETH": [10.0, 12.1, 9.801, 11.025]})
    >>> correlation_matrix(closes)["ETH"].round(6).to_list()
    [1.0, 1.0]
    """
    returns = closes.select(pl.all().cast(pl.Float64).log().diff())
    r = pearson_matrix(returns.fill_null(float("nan")).to_numpy().T[:, 1:], at_least=at_least).r
    columns = {name: pl.Series(r[:, place]).fill_nan(None) for place, name in enumerate(closes.columns)}
    return pl.DataFrame({"symbol": closes.columns, **columns})
