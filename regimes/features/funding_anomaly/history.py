from array import array
from bisect import bisect_left, bisect_right
from typing import Any

import msgspec
import numpy as np
import numpy.typing as npt

from regimes.features.pieces import packed, unpacked
from regimes.maths.reversion import eight_hourly
from regimes.observations import FundingRate, MarkPrice
from regimes.timeframe import HOUR_MS


class History:
    """The settlements of one symbol inside the window and the one before, in order of their own time.

    All come from one venue, the first that delivered. The length is that of the window; the settlements before it
    only say how unusual those in it were in their own time. What is predicted next is kept beside.
    """

    def __init__(self, window_ms: int) -> None:
        self._window_ms = window_ms
        self.venue: str | None = None
        self.times = array("q")
        self.rates = array("d")
        self.hours = array("d")
        self.predicted_rate: float | None = None
        self.next_funding_ms: int | None = None
        self._predicted_ms = 0
        self._settled: msgspec.Raw | None = None

    def __len__(self) -> int:
        return len(self.times) - self._first()

    def settle(self, funding: FundingRate) -> bool:
        """Take a settlement at its own time; False for another venue's, a known one, and one too old."""
        if self.venue is None:
            self.venue, self._settled = funding.venue, None
        position = bisect_left(self.times, funding.ts_ms)
        known = position < len(self.times) and self.times[position] == funding.ts_ms
        if known or funding.venue != self.venue:
            return False
        if self.times and funding.ts_ms <= self.times[-1] - 2 * self._window_ms:
            return False
        self._settled = None
        self.times.insert(position, funding.ts_ms)
        self.rates.insert(position, funding.rate)
        self.hours.insert(position, funding.interval_hours)
        expired = bisect_right(self.times, self.times[-1] - 2 * self._window_ms)
        if expired:
            del self.times[:expired], self.rates[:expired], self.hours[:expired]
        return True

    def predict(self, mark: MarkPrice) -> bool:
        """Take what a mark price says of the next settlement; False when it says nothing new."""
        if (mark.predicted_rate is None and mark.next_funding_ms is None) or mark.ts_ms < self._predicted_ms:
            return False
        self._predicted_ms = mark.ts_ms
        if mark.predicted_rate == self.predicted_rate and mark.next_funding_ms == self.next_funding_ms:
            return False
        self.predicted_rate, self.next_funding_ms = mark.predicted_rate, mark.next_funding_ms
        return True

    @property
    def predicted(self) -> tuple[float | None, int | None]:
        """The rate that would settle next, and when."""
        return self.predicted_rate, self.next_funding_ms

    def rates_8h(self) -> npt.NDArray[np.float64]:
        """The rates of the window for eight hours each, oldest first, shape (n,)."""
        return self._all_rates_8h()[self._first() :]

    def blocks_8h(self) -> npt.NDArray[np.float64]:
        """Mean rates of each eight hours of the window and the one before, oldest first."""
        times = np.array(self.times)
        return eight_hourly(times, self._all_rates_8h(), np.array(self.hours))

    def _all_rates_8h(self) -> npt.NDArray[np.float64]:
        return np.array(self.rates) * (8.0 / np.array(self.hours))

    def _first(self) -> int:
        """Place of the first settlement of the window."""
        return bisect_right(self.times, self.times[-1] - self._window_ms) if self.times else 0

    def overdue_ms(self, now_ms: int) -> int:
        """How long ago the next settlement should have come; negative while it is not due."""
        return now_ms - self.times[-1] - round(self.hours[-1] * HOUR_MS) if self.times else 0

    def coverage(self) -> float:
        """Share of the window for which there was a settlement."""
        return min(1.0, sum(self.hours[self._first() :]) * HOUR_MS / self._window_ms)

    def settled(self) -> msgspec.Raw:
        """All state but what is predicted."""
        if self._settled is None:
            times, rates, hours = self.times.tobytes(), self.rates.tobytes(), self.hours.tobytes()
            self._settled = packed({"venue": self.venue, "times": times, "rates": rates, "hours": hours})
        return self._settled

    def restore(self, settled: msgspec.Raw | dict[str, Any]) -> None:
        """Take back `settled`."""
        saved = unpacked(settled)
        self.venue = saved["venue"]
        self.times, self.rates, self.hours = array("q"), array("d"), array("d")
        self.times.frombytes(saved["times"])
        self.rates.frombytes(saved["rates"])
        self.hours.frombytes(saved["hours"])
        self._settled = None

    def prediction(self) -> list[Any]:
        """What is predicted, and since when."""
        return [self.predicted_rate, self.next_funding_ms, self._predicted_ms]

    def restore_prediction(self, prediction: list[Any]) -> None:
        """Take back `prediction`."""
        self.predicted_rate, self.next_funding_ms, self._predicted_ms = prediction
