"""The same measures for one history, as a library."""

import numpy as np
import numpy.typing as npt

from regimes.maths import anomaly
from regimes.maths.anomaly import ANOMALY_Z, FloatArray, Measures


def rate_8h(rate: npt.ArrayLike, interval_hours: npt.ArrayLike) -> FloatArray:
    """Rates for eight hours each, from fractions per interval.

    >>> rate_8h([0.0001, 0.0001], [8, 4]).tolist()
    [0.0001, 0.0002]
    """
    return np.asarray(rate, dtype=np.float64) * (8.0 / np.asarray(interval_hours, dtype=np.float64))


def z_score(rates: npt.ArrayLike) -> float | None:
    """(last - mean) / standard deviation (ddof 1), the last rate included.

    rates: shape (n,), oldest first, comparable fractions. With a spread under 1e-7, 0 if the last is on the mean,
    else None; None for fewer than two.

    >>> z_score([0.0005, 0.0008, 0.0011, 0.0008])
    0.0
    >>> round(z_score([1e-5] * 29 + [2e-5]), 3)
    5.295
    """
    return _known(_measure(rates).z)


def z_robust(rates: npt.ArrayLike) -> float | None:
    """(last - median) / max(1.4826 MAD, (q90 - q10) / 2.563, 0.1 bp), the last rate not in the history.

    >>> round(z_robust([1e-4] * 30 + [2e-4]), 6)
    10.0
    """
    return _known(_measure(rates).z_robust)


def percentile(rates: npt.ArrayLike) -> float | None:
    """Where the last rate stands among all, 0 to 100; half of its equals count as lower.

    >>> percentile([1e-4, 1e-4, 1e-4, 2e-4]), percentile([1e-4, 1e-4, 1e-4, 1e-4])
    (87.5, 50.0)
    """
    return _known(_measure(rates).percentile)


def persistence(rates: npt.ArrayLike, *, anomaly_z: float = ANOMALY_Z) -> float | None:
    """Share of the rates that are `anomaly_z` or more standard deviations from the mean.

    >>> persistence([1e-4] * 19 + [9e-4])
    0.05
    """
    return _known(_measure(rates, anomaly_z=anomaly_z).persistence)


def run_length(rates: npt.ArrayLike, *, anomaly_z: float = ANOMALY_Z) -> int:
    """How many rates up to the last are extreme on the same side, without a break.

    >>> run_length([1e-4] * 40 + [9e-4, 9e-4])
    2
    """
    return int(_measure(rates, anomaly_z=anomaly_z).run_length[0])


def reversal(rates: npt.ArrayLike, *, anomaly_z: float = ANOMALY_Z) -> bool:
    """Whether the last rate's sign is new, and there was an extreme of the other sign just before.

    >>> reversal([1e-4] * 40 + [9e-4, 9e-4, -1e-4]), reversal([1e-4] * 40 + [-1e-4])
    (True, False)
    """
    return bool(_measure(rates, anomaly_z=anomaly_z).reversal[0])


def _measure(rates: npt.ArrayLike, *, anomaly_z: float = ANOMALY_Z) -> Measures:
    row = np.asarray(rates, dtype=np.float64).reshape(1, -1)
    if not row.size:
        row = np.full((1, 1), np.nan)
    return anomaly.measure(row, np.ones(row.shape, dtype=np.bool_), anomaly_z=anomaly_z)


def _known(value: FloatArray) -> float | None:
    return None if np.isnan(value[0]) else float(value[0])
