"""When liquidations come so much faster and larger than usual that it is no chance: a sequential test, event by event.

What is usual is itself a chain: one liquidation brings about others (Hawkes, 1971). So the evidence for a burst is the
log-likelihood ratio of a market in which ten times as much happens of itself, and each liquidation brings about more,
against the symbol's own usual one; sizes count as marks. Summed as Page's CUSUM (1954), which never falls below zero.
"""

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
_NEEDED_WEIGHT: Final = 0.39  # half a day of 1 - exp(-t / 24 h)
_SIZES: Final = 200
_LARGEST_Z: Final = 3.0
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
    rate: float = _LEAST_RATE
    """Usual liquidations a second."""

    def add(self, ts_ms: int, usd: float) -> None:
        """Take one liquidation."""
        if self.last_ms is None:
            self.last_ms = self.first_ms = ts_ms
        seconds = max(ts_ms - self.last_ms, 0) * 0.001
        self.evidence -= self._drained(seconds)
        if self.evidence <= 0.0:
            self.evidence, self.peak, self.alarm, self.first_ms = 0.0, 0.0, False, max(ts_ms, self.last_ms)
        self._decay(seconds)
        self.last_ms = max(ts_ms, self.last_ms)
        usual, excited = self.rate * (1.0 - USUAL_BRANCHING), self.excited * _DECAY
        ratio = (TIMES * usual + BURST_BRANCHING * excited) / (usual + USUAL_BRANCHING * excited)
        self._weigh(log(ratio) + self._size_evidence(usd))
        self._count()

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
        return max(self.evidence - self._drained(max(now_ms - self.last_ms, 0) * 0.001), 0.0)

    def _drained(self, seconds: float) -> float:
        """Evidence that is lost while nothing happens."""
        usual = self.rate * (1.0 - USUAL_BRANCHING)
        spent = self.excited * (1.0 - exp(-_DECAY * seconds))
        return (TIMES - 1.0) * usual * seconds + (BURST_BRANCHING - USUAL_BRANCHING) * spent

    def _weigh(self, evidence: float) -> None:
        bound = self.threshold = threshold(self.rate)
        held = self.evidence = min(max(self.evidence + evidence, 0.0), bound + _HEADROOM)
        if held > self.peak:
            self.peak = held
            if held >= bound and self.slow_weight >= _NEEDED_WEIGHT:
                self.alarm = True

    def _decay(self, seconds: float) -> None:
        slow, fast = exp(-seconds / _SLOW_S), exp(-seconds / _FAST_S)
        self.slow *= slow
        self.spontaneous *= slow
        self.slow_weight = self.slow_weight * slow + 1.0 - slow
        self.fast *= fast
        self.fast_weight = self.fast_weight * fast + 1.0 - fast
        self.excited *= exp(-_DECAY * seconds)
        by_day, by_hours = self.slow / max(self.slow_weight, 0.02), self.fast / max(self.fast_weight, 0.2)
        self.rate = max(by_day, by_hours) + _LEAST_RATE

    def _size_evidence(self, usd: float) -> float:
        """Log-likelihood ratio of a size; the usual ones are learnt on the way."""
        size = log(max(usd, 1e-2))
        if not self.n:
            self.log_size = size
        away = size - self.log_size
        z = max(-_LARGEST_Z, min(_LARGEST_Z, away / sqrt(self.log_variance)))
        part = max(1.0 / _SIZES, 1.0 / (self.n + 5))
        self.log_size += part * away
        self.log_variance = max(0.05, (1.0 - part) * self.log_variance + part * away * away)
        return SIZE_SHIFT * z - SIZE_SHIFT * SIZE_SHIFT / 2.0

    def _count(self) -> None:
        """Add it to the rates, and to the share of those that others brought about (online EM)."""
        alone = self.spontaneous / max(self.slow_weight, 0.02) + _LEAST_RATE
        brought = self.branching * self.excited * _DECAY
        caused = brought / (alone + brought)
        part = max(1.0 / _BRANCHING_EVENTS, 1.0 / (self.n + _BRANCHING_PRIOR))
        self.branching += part * (caused - self.branching)
        self.spontaneous += (1.0 - caused) / _SLOW_S
        self.slow += 1.0 / _SLOW_S
        self.fast += 1.0 / _FAST_S
        self.excited += 1.0
        self.n += 1


def threshold(rate: float) -> float:
    """Evidence that a symbol of so many liquidations a second reaches by chance about once a week."""
    level, slope = frozen.THRESHOLD
    return max(level + slope * log(rate * 3600.0), frozen.LEAST_THRESHOLD)


def confidence(strength: float) -> float:
    """Share of simulated alarms of this strength that were cascades."""
    scores, shares = frozen.CONFIDENCE.score, frozen.CONFIDENCE.probability
    if strength <= scores[0]:
        return shares[0]
    for low, high, below, above in zip(scores, scores[1:], shares, shares[1:], strict=False):
        if strength <= high:
            return below + (above - below) * (strength - low) / (high - low)
    return shares[-1]
