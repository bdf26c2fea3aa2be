"""How soon a burst of liquidations is noticed, and how often one is seen that is none: simulated, as the truth is unknown."""

from collections.abc import Callable, Sequence
from importlib import reload
from pathlib import Path
from typing import Final

import msgspec
import numpy as np

from bench.signals.cascade_market import SIZES, WEEK_S, Market, Symbol, World, simulate
from bench.signals.cascade_peers import page_hinkley, page_hinkley_bound
from bench.signals.peers import installed
from bench.signals.score import Row, calibration_row
from regimes.maths import burst_frozen
from regimes.maths.burst import Burst, confidence
from regimes.maths.calibration import Table, isotonic
from regimes.maths.stats import FloatArray

WEEKS: Final = 8
SYMBOLS: Final = 6
WARM_S: Final = 86_400.0
# An alarm shortly after the end of a cascade is still about it.
AFTER_S: Final = 600.0
FROZEN: Final = Path(__file__).parents[2] / "regimes/maths/burst_frozen.py"


class Alarm(msgspec.Struct, frozen=True):
    """When it came, when the burst is said to have begun, its strength, and the cascade it is about, if any."""

    at: float
    onset: float
    strength: float
    cascade: int | None


class Score(msgspec.Struct, frozen=True):
    """What became of the cascades of one symbol. weeks: in which false alarms could be raised."""

    found: Sequence[Alarm]
    false: int
    missed: int
    weeks: float


Detector = Callable[[Market], Sequence[Alarm]]


def product(market: Market) -> list[Alarm]:
    """Alarms of the product's own code."""
    burst, found, was = Burst(), list[Alarm](), False
    for at, usd in zip(market.times.tolist(), market.usd.tolist(), strict=True):
        burst.add(round(at * 1000), usd)
        if burst.alarm and not was and at > WARM_S:
            found.append(Alarm(at, burst.first_ms / 1000, 0.0, about(market, at)))
        was = burst.alarm
        if was and found:
            found[-1] = msgspec.structs.replace(
                found[-1], strength=max(found[-1].strength, burst.peak / burst.threshold)
            )
    return found


def about(market: Market, at: float) -> int | None:
    """The cascade that an alarm at this time is about."""
    inside = (market.cascades[:, 0] <= at) & (at <= market.cascades[:, 1] + AFTER_S)
    return int(np.argmax(inside)) if inside.any() else None


def dollars(market: Market) -> list[Alarm]:
    """Plain severity 3: over 500,000 USD in 24 h, and 200,000 within an hour."""
    day, hour = (_trailing(market, seconds) for seconds in (86_400.0, 3_600.0))
    return _edges(market, (day > 500_000) & (hour >= 200_000))


def quantile(market: Market) -> list[Alarm]:
    """The last hour above the 99 % quantile of the symbol's own clock hours, and three events (relative severity 4)."""
    hours = np.bincount((market.times // 3600).astype(np.int64), weights=market.usd)
    bound = np.quantile(hours, 0.99)
    count = _trailing(msgspec.structs.replace(market, usd=np.ones_like(market.usd)), 3_600.0)
    return _edges(market, (_trailing(market, 3_600.0) >= bound) & (count >= 3))


def _trailing(market: Market, seconds: float) -> FloatArray:
    total = np.concatenate(([0.0], np.cumsum(market.usd)))
    first = np.searchsorted(market.times, market.times - seconds, side="right")
    return np.asarray(total[1:] - total[first], dtype=np.float64)


def _edges(market: Market, on: "np.ndarray[tuple[int], np.dtype[np.bool_]]") -> list[Alarm]:
    at = market.times[on & ~np.concatenate(([False], on[:-1])) & (market.times > WARM_S)]
    return [Alarm(float(t), float(t), 1.0, about(market, float(t))) for t in at]


def judge(market: Market, detector: Detector, weeks: float) -> Score:
    """Each cascade is found once; more alarms about it are neither good nor bad."""
    alarms = detector(market)
    first = {alarm.cascade: alarm for alarm in reversed(alarms) if alarm.cascade is not None}
    false = sum(alarm.cascade is None for alarm in alarms)
    return Score(list(first.values()), false, len(market.cascades) - len(first), weeks - WARM_S / WEEK_S)


def markets(
    seed: int, symbol: Symbol, world: World, count: int = SYMBOLS, weeks: float = WEEKS
) -> list[Market]:
    """So many symbols of one size."""
    rng = np.random.default_rng((seed, round(symbol.per_hour * 10)))
    return [simulate(rng, symbol, weeks, world) for _ in range(count)]


def f1(scores: Sequence[Score]) -> float:
    """Harmonic mean of the share of cascades found and the share of alarms that were about one."""
    found = sum(len(score.found) for score in scores)
    false, missed = sum(score.false for score in scores), sum(score.missed for score in scores)
    return 2 * found / max(2 * found + false + missed, 1)


def false_a_week(scores: Sequence[Score]) -> float:
    """False alarms a symbol-week."""
    return sum(score.false for score in scores) / sum(score.weeks for score in scores)


def seconds(of: Sequence[Score], all_markets: Sequence[Market], *, onset: bool = False) -> list[float]:
    """From the begin of each cascade that was found to its alarm, or how far off the onset was."""
    pairs = [(alarm, market) for score, market in zip(of, all_markets, strict=True) for alarm in score.found]
    return [
        abs(alarm.onset - market.cascades[alarm.cascade or 0, 0])
        if onset
        else alarm.at - market.cascades[alarm.cascade or 0, 0]
        for alarm, market in pairs
    ]


def chance_peaks(symbol: Symbol, world: World, seed: int = 1) -> FloatArray:
    """Highest evidence of each run of it, largest first, where no cascade was."""
    found = []
    for market in markets(seed, symbol, msgspec.structs.replace(world, a_week=1e-3)):
        burst, begun, peak = Burst(), 0, 0.0
        for at, usd in zip(market.times.tolist(), market.usd.tolist(), strict=True):
            burst.add(round(at * 1000), usd)
            if burst.first_ms != begun:
                found.append(peak)
                begun, peak = burst.first_ms, 0.0
            if at > WARM_S:
                peak = max(peak, burst.peak)
    return np.sort(found)[::-1]


def fit_threshold() -> tuple[float, float]:
    """Evidence of one false alarm a symbol-week, linear in the log of the hourly rate."""
    rates = (0.6, 1.5, 3.0, 8.0, 20.0, 60.0, 200.0)
    weeks = round(SYMBOLS * (WEEKS - WARM_S / WEEK_S))
    level = [chance_peaks(Symbol(rate, 1_000.0), World())[weeks] for rate in rates]
    slope, first = np.polyfit(np.log(rates), level, 1)
    return float(first), float(slope)


def fit_confidence() -> Table:
    """Share of alarms that are cascades, by their strength."""
    alarms = [
        alarm for symbol in SIZES for market in markets(2, symbol, World()) for alarm in product(market)
    ]
    strength = np.array([alarm.strength for alarm in alarms])
    true = np.array([alarm.cascade is not None for alarm in alarms]) * 1.0
    return isotonic(strength, true, bins=12)


def write(path: Path) -> None:
    """Write the module the product imports: the threshold, and with it in force the confidence."""
    threshold = fit_threshold()
    _write(path, threshold, burst_frozen.CONFIDENCE)
    reload(burst_frozen)
    _write(path, threshold, fit_confidence())


def _write(path: Path, threshold: tuple[float, float], shares: Table) -> None:
    scores, probabilities = (
        ", ".join(repr(round(value, 3)) for value in part) for part in (shares.score, shares.probability)
    )
    path.write_text(
        '"""Numbers of bursts of liquidations, fitted on a simulated market.\n\n'
        "Written by `python -m bench.signals --fit`; see docs/signals.md for what they are and how good they are.\n"
        '"""\n\nfrom typing import Final\n\nfrom regimes.maths.calibration import Table\n\n# fmt: off\n'
        f"THRESHOLD: Final = ({threshold[0]:.3f}, {threshold[1]:.3f})\n"
        '"""Evidence reached once a symbol-week by chance: the first, and the second times log liquidations an hour."""\n'
        "LEAST_THRESHOLD: Final = 4.0\n"
        f"CONFIDENCE: Final = Table(\n    ({scores}),\n    ({probabilities}),\n)\n"
        '"""Share of alarms that were cascades, by the highest evidence over the threshold."""\n'
    )


def evaluate(folder: Path, *, start: str = "", shipped: bool = False) -> tuple[str, Sequence[Row]]:
    """All rows of the table. Nothing is read: folder, start and shipped are those of the other parts."""
    del folder, start, shipped
    rows = _world("", World(), full=True)
    rows += _world(
        "chains of 0.7 with a half-life of 30 s: ", World(branching=0.7, half_life_s=30.0), full=False
    )
    rows += _world("cascades whose pace stays: ", World(fading=False), full=False)
    rows += _world("cascades half as fast: ", World(times=8.0), full=False)
    return f"simulated, {len(SIZES)} sizes x {SYMBOLS} symbols x {WEEKS} weeks, 2 cascades a week", rows


def _quiet_bound(symbol: Symbol, world: World) -> float:
    """Of one false alarm a symbol-week, each size for itself, on other seeds."""
    return page_hinkley_bound(markets(1, symbol, msgspec.structs.replace(world, a_week=1e-3), count=2))


def _world(prefix: str, world: World, *, full: bool) -> list[Row]:
    of = {symbol: markets(7, symbol, world) for symbol in SIZES}
    every = [market for some in of.values() for market in some]
    ways: dict[str, Detector] = {
        "regimes": product,
        "fixed dollars": dollars,
        "own hourly quantile": quantile,
    }
    if full and installed("river"):
        bounds = {symbol: _quiet_bound(symbol, world) for symbol in SIZES}
        sizes = {id(market): symbol for symbol, some in of.items() for market in some}
        ways["Page-Hinkley, river"] = lambda market: [
            Alarm(at, at, 1.0, about(market, at)) for at in page_hinkley(market, bounds[sizes[id(market)]])
        ]
    scores = {name: [judge(market, way, WEEKS) for market in every] for name, way in ways.items()}
    own, peers = scores["regimes"], {name: value for name, value in scores.items() if name != "regimes"}
    delay = {name: float(np.median(seconds(value, every))) for name, value in scores.items()}
    rows = [
        Row(f"{prefix}F1", f1(own), None, {n: f1(v) for n, v in peers.items()}, (0.6, 0.85) if full else None),
        Row(f"{prefix}false alarms a symbol-week", false_a_week(own), None, {n: false_a_week(v) for n, v in peers.items()}, (1.0, 1.0) if full else None, least=False),
        Row(f"{prefix}median seconds to detect", delay.pop("regimes"), None, delay, (180.0, 90.0) if full else None, least=False),
    ]  # fmt: skip
    if not full:
        return rows
    rows.append(
        Row(
            "median seconds the onset is off",
            float(np.median(seconds(own, every, onset=True))),
            None,
            {},
            None,
        )
    )
    alarms = [alarm for market in every for alarm in product(market)]
    said = np.array([confidence(alarm.strength) for alarm in alarms])
    meant = np.array([alarm.cascade is not None for alarm in alarms]).astype(np.float64)
    rows.append(calibration_row("confidence", said, meant))
    for place, symbol in enumerate(SIZES):
        part = slice(place * SYMBOLS, (place + 1) * SYMBOLS)
        some, truth = own[part], every[part]
        what = f"{symbol.per_hour:g} liquidations an hour"
        share = sum(len(s.found) for s in some) / max(sum(len(s.found) + s.missed for s in some), 1)
        rows += [
            Row(f"{what}: F1", f1(some), None, {n: f1(v[part]) for n, v in peers.items()}, None),
            Row(f"{what}: share found", share, None, {}, None),
            Row(f"{what}: median seconds to detect", float(np.median(seconds(some, truth))), None, {}, None),
        ]
    return rows
