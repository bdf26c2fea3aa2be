"""When liquidations come so much faster and larger than usual that it is no chance: a sequential test, event by event.

What is usual is itself a chain: one liquidation brings about others (Hawkes, 1971). So the evidence for a burst is the
log-likelihood ratio of a market in which ten times as much happens of itself, and each liquidation brings about more,
against the symbol's own usual one; sizes count as marks. Summed as Page's CUSUM (1954), which never falls below zero.
"""

# ruff: noqa: FURB136 (min and max take three times as long as comparing, and this runs for each liquidation)
from math import exp, log, sqrt
from typing import Final, NamedTuple

import msgspec

from regimes.maths import burst_frozen as frozen

TIMES: Final = 10.0
"""How much more often liquidations happen of themselves in a burst."""
USUAL_BRANCHING: Final = 0.6
BURST_BRANCHING: Final = 0.8
"""How many others each liquidation brings about, usually and in a burst."""
HALF_LIFE_S: Final = 15.0
"""Of what one liquidation brings about."""
SIZE_SHIFT: Final = 0.5
"""How much larger log sizes are in a burst, in standard deviations."""
_DECAY: Final = log(2) / HALF_LIFE_S
_SLOW_S: Final = 86_400.0
_FAST_S: Final = 7_200.0
# One a day is believed possible of every symbol.
_LEAST_RATE: Final = 1.0 / 86_400.0
_LEAST_LOG_SIZE: Final = log(0.01)
_DRAIN: Final = (TIMES - 1.0) * (1.0 - USUAL_BRANCHING)
_EXCITED_DRAIN: Final = BURST_BRANCHING - USUAL_BRANCHING
_LEVEL, _SLOPE = frozen.THRESHOLD
_NEEDED_WEIGHT: Final = 0.39  # half a day of 1 - exp(-t / 24 h)
_SIZES: Final = 200
_LARGEST_Z: Final = 3.0
_LEAST_VARIANCE: Final = 0.05
# Evidence beyond the threshold only says for how long a burst is believed after it is over.
_HEADROOM: Final = 8.0
_BRANCHING_EVENTS: Final = 300
_BRANCHING_PRIOR: Final = 20
_BRANCHING_NEEDED: Final = 50


class Seen(NamedTuple):
    """What the evidence says at a moment. strength: over the threshold, so 1 is the alarm's. since_ms: the onset."""

    burst: bool
    strength: float
    since_ms: int | None
    confidence: float | None
    branching_ratio: float | None


class Burst(msgspec.Struct):
    """Evidence for a burst in one symbol; each liquidation costs O(1). A late one counts as if it came now.

    Those of the same second are counted together with the next that comes later: of one symbol a venue shows one a
    second, and of the whole market a second of waiting costs less than a look at each.

    Rates are exponentially weighted over a day and over two hours; the higher one is usual. Nothing is said before
    half a day of them is known.
    """

    n: int = 0
    last_ms: int | None = None
    first_ms: int = 0
    """When the first liquidation came that the present evidence rests on."""
    evidence: float = 0.0
    threshold: float = 0.0
    peak: float = 0.0
    alarm: bool = False
    slow: float = 0.0
    slow_weight: float = 0.0
    fast: float = 0.0
    fast_weight: float = 0.0
    excited: float = 0.0
    log_size: float = 0.0
    log_variance: float = 1.5
    spontaneous: float = 0.0
    branching: float = 0.5
    more: int = 0
    """Liquidations of the second of the last one that are not counted yet."""
    more_sizes: float = 0.0
    rate: float = _LEAST_RATE
    """Usual liquidations a second."""

    def add(self, ts_ms: int, usd: float) -> None:
        """Take one liquidation."""
        size = log(usd) if usd > 0.01 else _LEAST_LOG_SIZE
        last_ms = self.last_ms
        if last_ms is None:
            last_ms = self.first_ms = ts_ms
            self.log_size = size
        elif ts_ms - ts_ms % 1000 <= last_ms:
            self.more += 1
            self.more_sizes += size
            return
        if self.more:
            count, sizes = self.more, self.more_sizes
            self.more, self.more_sizes = 0, 0.0
            self._take(count, sizes)
        self._pass((ts_ms - last_ms) * 0.001)
        self.last_ms = ts_ms
        if self.evidence <= 0.0:
            self.evidence, self.peak, self.alarm, self.first_ms = 0.0, 0.0, False, ts_ms
        self._take(1, size)

    def pass_over(self, from_ms: int, to_ms: int) -> None:
        """Know that nothing was seen in this span: it is no silence."""
        if self.last_ms is not None and self.last_ms < to_ms:
            self.last_ms += to_ms - max(from_ms, self.last_ms)

    def seen(self, now_ms: int) -> Seen | None:
        """What is to be said now; None while too little is known. Changes nothing."""
        if self.last_ms is None or self.slow_weight < _NEEDED_WEIGHT:
            return None
        left = self.evidence_at(now_ms)
        burst = self.alarm and left > 0.0
        return Seen(
            burst,
            left / self.threshold,
            self.first_ms if burst else None,
            confidence(self.peak / self.threshold) if burst else None,
            self.branching if self.n >= _BRANCHING_NEEDED else None,
        )

    def evidence_at(self, now_ms: int) -> float:
        """What is left of the evidence if nothing has come since."""
        if self.last_ms is None:
            return 0.0
        seconds = max(now_ms - self.last_ms, 0) * 0.001
        return max(self.evidence - self._drained(seconds, exp(-_DECAY * seconds)), 0.0)

    def _drained(self, seconds: float, left: float) -> float:
        """Evidence that is lost while nothing happens. left: share of what earlier ones bring about still to come."""
        return _DRAIN * self.rate * seconds + _EXCITED_DRAIN * (self.excited * (1.0 - left))

    def _pass(self, seconds: float) -> None:
        """Let time pass without a liquidation."""
        left = exp(-_DECAY * seconds)
        self.evidence -= self._drained(seconds, left)
        self.excited *= left
        slow, fast = exp(-seconds / _SLOW_S), exp(-seconds / _FAST_S)
        self.spontaneous *= slow
        self.slow = by_day = self.slow * slow
        self.slow_weight = slow_weight = self.slow_weight * slow + 1.0 - slow
        self.fast = by_hours = self.fast * fast
        self.fast_weight = fast_weight = self.fast_weight * fast + 1.0 - fast
        by_day /= slow_weight if slow_weight > 0.02 else 0.02
        by_hours /= fast_weight if fast_weight > 0.2 else 0.2
        self.rate = (by_day if by_day > by_hours else by_hours) + _LEAST_RATE

    def _take(self, count: int, sizes: float) -> None:
        """Count so many liquidations at once. sizes: sum of their logarithms."""
        rate, excited = self.rate, (self.excited + 0.5 * (count - 1)) * _DECAY
        usual = rate * (1.0 - USUAL_BRANCHING)
        ratio = (TIMES * usual + BURST_BRANCHING * excited) / (usual + USUAL_BRANCHING * excited)
        self.threshold = bound = threshold(rate)
        evidence = self.evidence + count * (log(ratio) + self._size_evidence(count, sizes / count))
        most = bound + _HEADROOM
        self.evidence = evidence = 0.0 if evidence < 0.0 else most if evidence > most else evidence
        if evidence > self.peak:
            self.peak = evidence
            self.alarm = self.alarm or (evidence >= bound and self.slow_weight >= _NEEDED_WEIGHT)
        self._learn(count, excited)

    def _size_evidence(self, count: int, size: float) -> float:
        """Log-likelihood ratio of a size; the usual ones are learnt on the way."""
        away, variance = size - self.log_size, self.log_variance
        z = away / sqrt(variance)
        z = -_LARGEST_Z if z < -_LARGEST_Z else _LARGEST_Z if z > _LARGEST_Z else z
        part = _share(count, self.n + 5, _SIZES, 4)
        self.log_size += part * away
        variance = (1.0 - part) * variance + part * away * away
        self.log_variance = variance if variance > _LEAST_VARIANCE else _LEAST_VARIANCE
        return SIZE_SHIFT * z - SIZE_SHIFT * SIZE_SHIFT / 2.0

    def _learn(self, count: int, excited: float) -> None:
        """Add them to the rates, and to the share of those that others brought about (online EM)."""
        weight, branching = self.slow_weight, self.branching
        brought = branching * excited
        caused = brought / (self.spontaneous / (weight if weight > 0.02 else 0.02) + _LEAST_RATE + brought)
        part = _share(count, self.n + _BRANCHING_PRIOR, _BRANCHING_EVENTS)
        self.branching = branching + part * (caused - branching)
        self.spontaneous += count * (1.0 - caused) / _SLOW_S
        self.slow += count / _SLOW_S
        self.fast += count / _FAST_S
        self.excited += count
        self.n += count


def _share(count: int, known: int, most: int, beside: int = 0) -> float:
    """Weight of the newest `count` among those known, of which the last `most` count."""
    among, least = known if known < most else most, count + beside
    return count / (among if among > least else least)


def threshold(rate: float) -> float:
    """Evidence that a symbol of so many liquidations a second reaches by chance about once a week."""
    bound = _LEVEL + _SLOPE * log(rate * 3600.0)
    return bound if bound > frozen.LEAST_THRESHOLD else frozen.LEAST_THRESHOLD


def confidence(strength: float) -> float:
    """Share of simulated alarms of this strength that were cascades."""
    scores, shares = frozen.CONFIDENCE.score, frozen.CONFIDENCE.probability
    if strength <= scores[0]:
        return shares[0]
    for low, high, below, above in zip(scores, scores[1:], shares, shares[1:], strict=False):
        if strength <= high:
            return below + (above - below) * (strength - low) / (high - low)
    return shares[-1]
