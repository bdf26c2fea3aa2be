"""The engine: routing, keeping, packages, and the same bytes on every run."""

from collections.abc import Iterable, Iterator, Sequence
from pathlib import Path
from typing import Any

import msgspec
import numpy as np
import pytest

from regimes.engine import QUIET, SNAPSHOT_VERSION, Engine, Outcome
from regimes.errors import DataError
from regimes.events import EventType, Phase
from regimes.features.base import Feature, Need, Universe, longest
from regimes.features.correlation_engine import CorrelationEngine, CorrelationSettings
from regimes.intake import Reason
from regimes.observations import Candle, FeedGap, Liquidation, Observation, Tick
from regimes.package import encode
from regimes.timeframe import HOUR_MS
from tests.features.correlation_engine.market import (
    START_HOUR,
    SYMBOLS,
    apart_from,
    bars,
    closes,
    hour_of,
    prices_of,
    recorded,
    together,
)
from tests.toys import CloseKeeper, CountReading, CountSettings, LiquidationCounter

TOYS: Sequence[type[Feature]] = (LiquidationCounter, CloseKeeper)
ALL: Sequence[type[Feature]] = (*TOYS, CorrelationEngine)
UNIVERSE = Universe(SYMBOLS)
T0 = START_HOUR * HOUR_MS


def liquidation(number: int, symbol: str = "BTC/USDT") -> Liquidation:
    return Liquidation(T0 + number, "binanceusdm", symbol, "long", 100.0, 1.0, 100.0)


def with_clock(stream: Iterable[Observation]) -> Iterator[Observation]:
    """A Tick at each close before its bars, as the service's timer gives it."""
    closed_ms = 0
    for observation in stream:
        if isinstance(observation, Candle) and observation.open_ms + HOUR_MS > closed_ms:
            closed_ms = observation.open_ms + HOUR_MS
            yield Tick(closed_ms)
        yield observation


def mixed_market(hours: int = 1_000) -> list[Observation]:
    """Bars with a break of SOL, liquidations, a gap, and some of everything that is refused."""
    stream: list[Observation] = []
    for number, observation in enumerate(
        with_clock(bars(closes(apart_from(940, together(61, 3, hours), 2))))
    ):
        stream.append(observation)
        if isinstance(observation, Tick) and observation.ts_ms % HOUR_MS and number % 3 == 0:
            stream.append(
                Liquidation(
                    observation.ts_ms - 10, "binanceusdm", SYMBOLS[number % 2], "short", 9.0, 1.0, 9.0
                )
            )
            stream.append(Tick(observation.ts_ms // HOUR_MS * HOUR_MS + 1_800_000))
        if number % 499 == 0 and isinstance(observation, Candle):
            stream += [observation, msgspec.structs.replace(observation, close=float("nan"))]
            stream.append(FeedGap(observation.open_ms, "binanceusdm", "liquidation", None, T0, None, "lost"))
    return stream


def run(engine: Engine, stream: Sequence[Observation]) -> list[Outcome]:
    return [engine.step(observation) for observation in stream]


def as_bytes(outcomes: Sequence[Outcome]) -> list[bytes]:
    return [msgspec.msgpack.encode(outcome, enc_hook=list) for outcome in outcomes]


@pytest.fixture(scope="module")
def stream() -> list[Observation]:
    return mixed_market()


def test_each_observation_goes_only_to_the_features_that_want_it() -> None:
    engine = Engine.build(TOYS, UNIVERSE)
    assert engine.step(liquidation(1)) is QUIET
    assert engine.latest["liquidation_counter", "BTC/USDT"].n == 0
    told = engine.step(Tick(T0 + HOUR_MS + 1)).readings
    assert [(r.feature, r.n) for r in told] == [("liquidation_counter", 1)]
    told = engine.step(Candle("x", "ETH/USDT", "1h", T0, 1.0, 2.0, 1.0, 2.0, 1.0)).readings
    assert [(r.feature, r.symbol) for r in told] == [("close_keeper", "ETH/USDT")]
    engine.step(FeedGap(T0, "x", "liquidation", None, T0, None, "lost"))
    counter = engine.features[0]
    assert isinstance(counter, LiquidationCounter)
    assert counter.gaps == 1


def test_what_one_observation_brings_from_several_features_comes_together() -> None:
    engine = Engine.build((CloseKeeper, CloseKeeper), UNIVERSE)
    told = engine.step(Candle("x", "ETH/USDT", "1h", T0, 1.0, 2.0, 1.0, 2.0, 1.0)).readings
    assert [r.symbol for r in told] == ["ETH/USDT", "ETH/USDT"]


def test_what_the_intake_refuses_reaches_no_feature_and_is_told() -> None:
    engine = Engine.build(TOYS, UNIVERSE)
    engine.step(liquidation(1))
    again = engine.step(liquidation(1))
    assert again.rejected is not None
    assert again.rejected.reason is Reason.DUPLICATE
    engine.step(Tick(T0 + HOUR_MS))
    assert engine.latest["liquidation_counter", "BTC/USDT"].n == 1
    assert engine.intake.rejected == {("liquidation", Reason.DUPLICATE): 1}


def test_open_events_are_kept_until_they_close_and_all_are_counted() -> None:
    engine = Engine.build(TOYS, UNIVERSE)
    outcomes = [engine.step(liquidation(number)) for number in range(4)]
    (opened,) = [event for outcome in outcomes for event in outcome.events]
    assert engine.open_events == {opened.id: opened}
    engine.step(Tick(T0 + HOUR_MS))
    assert engine.open_events == {}
    assert engine.event_counts == {
        (EventType.LIQUIDATION_CASCADE, Phase.OPENED): 1,
        (EventType.LIQUIDATION_CASCADE, Phase.CLOSED): 1,
    }


def test_readings_are_there_from_the_start() -> None:
    engine = Engine.build(TOYS, UNIVERSE)
    assert set(engine.latest) == {(f.name, s) for f in TOYS for s in SYMBOLS}
    assert engine.package("BTC/USDT")["cascades"]["status"] == "warming"


def test_needs_are_the_longest_of_each_kind() -> None:
    needs = Engine.build(ALL, UNIVERSE).needs()
    assert set(needs) == {Need("candle", 889 * HOUR_MS, "1h"), Need("funding", HOUR_MS)}


def test_a_need_of_some_symbols_grows_to_the_most_and_is_for_all_where_any_is() -> None:
    few, more = Need("candle", 2 * HOUR_MS, "1m", 2), Need("candle", HOUR_MS, "1m", 6)
    assert longest([few, more]) == [Need("candle", 2 * HOUR_MS, "1m", 6)]
    assert longest([few, Need("candle", HOUR_MS, "1m")]) == [Need("candle", 2 * HOUR_MS, "1m")]


def test_settings_reach_their_feature_by_section() -> None:
    engine = Engine.build(TOYS, UNIVERSE, {"counter": CountSettings(limit=1)})
    assert len(engine.step(liquidation(1)).events) == 1


def test_a_replay_gives_the_same_bytes(stream: list[Observation]) -> None:
    first, second = Engine.build(ALL, UNIVERSE), Engine.build(ALL, UNIVERSE)
    outcomes = run(first, stream)
    assert as_bytes(outcomes) == as_bytes(run(second, stream))
    assert first.snapshot() == second.snapshot()
    assert [encode(p) for p in first.packages().values()] == [encode(p) for p in second.packages().values()]
    kinds = {event.type for outcome in outcomes for event in outcome.events}
    assert kinds >= {EventType.CORRELATION_BREAK, EventType.LIQUIDATION_CASCADE}
    assert any(outcome.rejected for outcome in outcomes)


@pytest.mark.parametrize("share", [0.0, 0.3, 0.951, 0.9771])
def test_a_restored_engine_goes_on_as_if_never_interrupted(stream: list[Observation], share: float) -> None:
    cut = int(share * len(stream))
    whole, resumed = Engine.build(ALL, UNIVERSE), Engine.build(ALL, UNIVERSE)
    run(whole, stream[:cut])
    resumed.restore(whole.snapshot())
    assert resumed.open_events == whole.open_events
    assert as_bytes(run(resumed, stream[cut:])) == as_bytes(run(whole, stream[cut:]))
    assert resumed.snapshot() == whole.snapshot()
    assert resumed.latest == whole.latest
    assert resumed.open_events == whole.open_events


def test_event_ids_are_the_same_in_every_run_and_one_for_each_episode(stream: list[Observation]) -> None:
    ids = []
    for _ in range(2):
        outcomes = run(Engine.build(ALL, UNIVERSE), stream)
        ids.append([(e.id, e.phase, e.revision) for outcome in outcomes for e in outcome.events])
    assert ids[0] == ids[1]
    opened = [name for name, phase, _ in ids[0] if phase is Phase.OPENED]
    assert len(opened) == len(set(opened)) > 3
    assert {name for name, _, _ in ids[0]} == set(opened)


def test_real_candles_changed_after_a_moment_change_nothing_before_it_bit_for_bit(data_dir: Path) -> None:
    midnight = hour_of("2024-08-05T00:00")
    prices = prices_of(recorded(data_dir, midnight - 910, midnight + 40))
    cut = 925
    other = prices.copy()
    other[:, cut:] *= np.random.default_rng(2).uniform(0.7, 1.4, other[:, cut:].shape)
    streams = [list(with_clock(bars(table))) for table in (prices, other)]
    count = sum(1 for _ in with_clock(bars(prices[:, :cut])))
    whole, changed = (as_bytes(run(Engine.build(ALL, UNIVERSE), s)) for s in streams)
    assert whole[:count] == changed[:count]
    assert whole[count:] != changed[count:]


@pytest.mark.parametrize(
    ("damage", "words"),
    [
        ({"version": 0}, f"version is 0, this program reads {SNAPSHOT_VERSION}"),
        ({"fingerprint": "0"}, "other features, settings or symbols"),
        ({"features": None}, "parts are missing"),
    ],
)
def test_a_snapshot_that_does_not_fit_is_refused_with_words(damage: dict[str, Any], words: str) -> None:
    state = msgspec.msgpack.decode(Engine.build(TOYS, UNIVERSE).snapshot())
    kept = {key: value for key, value in (state | damage).items() if value is not None}
    with pytest.raises(DataError, match=words):
        Engine.build(TOYS, UNIVERSE).restore(msgspec.msgpack.encode(kept))


@pytest.mark.parametrize("junk", [b"", b"\xc1", b"\x01", msgspec.msgpack.encode([1])])
def test_a_damaged_snapshot_is_refused_with_words(junk: bytes) -> None:
    with pytest.raises(DataError, match="engine snapshot"):
        Engine.build(TOYS, UNIVERSE).restore(junk)


def test_a_snapshot_fits_only_the_same_settings_features_and_symbols() -> None:
    saved = Engine.build(ALL, UNIVERSE).snapshot()
    others = [
        Engine.build(ALL, UNIVERSE, {"correlation": CorrelationSettings(min_change=0.4)}),
        Engine.build(TOYS, UNIVERSE),
        Engine.build(ALL, Universe(SYMBOLS[:2])),
    ]
    for other in others:
        with pytest.raises(DataError, match="other features, settings or symbols"):
            other.restore(saved)


def test_packages_hold_every_configured_symbol_and_the_same_market() -> None:
    engine = Engine.build(ALL, UNIVERSE)
    run(engine, [*(liquidation(n) for n in range(3)), Tick(T0 + 5_000)])
    packages = engine.packages()
    assert list(packages) == list(SYMBOLS)
    assert packages["BTC/USDT"]["timestamp"] == "2024-10-04T00:00:05Z"
    assert packages["BTC/USDT"]["cascades"]["count"] == 3
    assert {p["market"]["state"] for p in packages.values()} == {"ACTIVE"}
    assert engine.market()["critical"] == ["cascades BTC/USDT"]
    assert isinstance(engine.latest["liquidation_counter", "BTC/USDT"], CountReading)
