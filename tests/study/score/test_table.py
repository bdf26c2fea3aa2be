import random
from typing import Any

import msgspec
import numpy as np
import pytest

from regimes.alerting.track_record import POOLED, Effect, Group, ScoreTable
from regimes.events import Event, EventType, Phase, Severity, body
from regimes.study.score.matching import LATE_MS, Calendar, is_aftermath, start_place
from regimes.study.score.series import Series
from regimes.study.score.table import Onset, onsets, score
from regimes.timeframe import HOUR_MS, WEEK_MS

from .market import FROM_MS, START_MS, onset, series

WEEKS = 60
TO_MS = FROM_MS + WEEKS * WEEK_MS


def places(number: int, seed: int = 5) -> list[int]:
    """Some hours, none near another."""
    return sorted(random.Random(seed).sample(range(45 * 24, 40 * 24 + (WEEKS - 1) * 168, 90), number))


def scored(events: list[Onset], known: Series, to_ms: int = TO_MS) -> ScoreTable:
    return score(
        events, {known.symbol: known}, source="a test", settings="none", from_ms=FROM_MS, to_ms=to_ms
    )


def at(place: int) -> int:
    return START_MS + place * HOUR_MS


def effect(table: ScoreTable, outcome: str = "volatility", hours: int = 24, symbol: str = POOLED) -> Effect:
    group = next(group for group in table.groups if group.symbol == symbol)
    found = group.effect(outcome, hours)
    assert found is not None
    return found


@pytest.fixture(scope="module")
def planted() -> tuple[list[int], Series]:
    """Events, each followed by 24 hours that move twice as much."""
    chosen = places(60)
    return chosen, series(WEEKS, louder={p + h: 2.0 for p in chosen for h in range(24)})


@pytest.fixture(scope="module")
def found(planted: tuple[list[int], Series]) -> ScoreTable:
    chosen, known = planted
    return scored([onset(at(place)) for place in chosen], known)


def test_an_effect_that_is_there_is_found_with_its_size(found: ScoreTable) -> None:
    measured = effect(found)
    assert measured.n == 60
    assert measured.effect == pytest.approx(2.0, rel=0.15)
    assert measured.ci is not None
    assert measured.ci[0] <= 2.05
    assert measured.ci[0] > 1.5
    assert measured.is_evident


def test_what_has_no_effect_is_not_called_one(found: ScoreTable) -> None:
    assert not effect(found, "return").is_evident
    assert not any(each.is_evident for g in found.groups for each in g.effects if each.outcome == "return")


def test_the_track_of_a_symbol_is_that_of_all_where_there_is_one_symbol(found: ScoreTable) -> None:
    assert effect(found, symbol="BTC/USDT") == effect(found)


def test_shuffled_events_show_no_effect_and_chance_is_called_one_as_rarely_as_promised(
    planted: tuple[list[int], Series],
) -> None:
    _, known = planted
    rng, chances, discoveries, tries = random.Random(9), [], 0, 6
    for _ in range(tries):
        events = [onset(at(place)) for place in sorted(rng.sample(range(45 * 24, known.hours - 80), 60))]
        cells = [each for g in scored(events, known).groups if g.symbol == POOLED for each in g.effects]
        chances += [each.p for each in cells if each.p is not None]
        discoveries += any(each.is_evident for each in cells)
    assert len(chances) >= 60
    assert sum(p < 0.05 for p in chances) / len(chances) <= 0.12
    assert discoveries <= 1


def test_nothing_after_the_end_of_the_span_changes_the_table(planted: tuple[list[int], Series]) -> None:
    chosen, known = planted
    end_ms = FROM_MS + 40 * WEEK_MS
    events = [onset(at(place)) for place in chosen]
    wild = msgspec.structs.replace(known, close=known.close.copy(), high=known.high.copy())
    later = known.place(end_ms)
    wild.close[later:] *= 3
    wild.high[later:] *= 5
    assert scored(events, known, end_ms) == scored(events, wild, end_ms)


def test_a_future_that_is_cut_off_is_left_out_and_counted(planted: tuple[list[int], Series]) -> None:
    _, known = planted
    last = known.hours - 1
    events = [onset(at(place)) for place in (*places(30), last - 40, last - 2)]
    table = scored(events, known)
    assert [effect(table, hours=h).truncated for h in (1, 4, 24, 72)] == [0, 1, 1, 2]
    assert effect(table, hours=72).n == 30


def test_an_event_is_measured_from_the_first_open_after_it() -> None:
    known = series(1)
    assert start_place(known, at(900)) == 900
    assert start_place(known, at(900) + LATE_MS) == 900
    assert start_place(known, at(900) + LATE_MS + 1) == 901
    assert start_place(known, at(901) - 1) == 901


def test_only_what_came_before_an_hour_makes_it_an_aftermath() -> None:
    assert is_aftermath(8, [2], 3).tolist() == [False, False, True, True, True, False, False, False]
    assert is_aftermath(4, [-2, 9], 3).tolist() == [True, False, False, False]
    assert not is_aftermath(4, [], 3).any()


def test_hours_are_matched_by_hour_of_the_week_and_state() -> None:
    known = series(6)
    calendar = Calendar(known)
    inside = slice(40 * 24, known.hours)
    same = [p for p in range(40 * 24, known.hours) if calendar.exact[p] == calendar.exact[41 * 24]]
    assert {(p - 41 * 24) % 168 for p in same} == {0}
    assert (calendar.exact[:400] == -1).all()
    assert not set(calendar.exact[inside]) & set(calendar.wide[inside])
    # 2023-01-01 was a Sunday: a week begins 24 hours later.
    sunday = known.place(FROM_MS)
    assert calendar.week[sunday + 24] == calendar.week[sunday + 23] + 1


def event(kind: EventType, symbol: str, **changes: Any) -> Event:
    whole = {
        "severity": Severity.WARNING,
        "phase": Phase.OPENED,
        "ts_ms": FROM_MS,
        "started_ms": FROM_MS,
        "revision": 0,
        "title": "",
        "description": "",
        "why": "",
        "data": {},
        **changes,
    }
    return Event(type=kind, symbol=symbol, **whole)


def test_openings_alone_count_and_each_is_measured_where_it_belongs() -> None:
    symbols = ("BTC/USDT", "ETH/USDT", "SOL/USDT")
    events = [
        event(EventType.LIQUIDATION_CASCADE, "ALL", data={"dominant_side": "long"}),
        event(
            EventType.CORRELATION_BREAK, "BTC/ETH", data={"symbols": ["BTC/USDT", "ETH/USDT"], "change": -0.4}
        ),
        event(EventType.FUNDING_ANOMALY, "SOL/USDT", data={"direction": "longs_pay"}),
        event(EventType.FUNDING_ANOMALY, "SOL/USDT", phase=Phase.UPDATED, revision=1),
        event(EventType.SYSTEM_FEED_GAP, "binance"),
    ]
    found = onsets(events, symbols)
    assert [(o.event_type, o.variant, o.symbols) for o in found] == [
        ("LIQUIDATION_CASCADE", "long", symbols),
        ("CORRELATION_BREAK", "fell", symbols[:2]),
        ("FUNDING_ANOMALY", "longs_pay", symbols[2:]),
    ]
    assert onsets([body(one) for one in events], symbols) == found


def test_an_event_of_the_market_counts_once_however_many_symbols_it_is_measured_on() -> None:
    known = {s: series(20, seed=n, symbol=s) for n, s in enumerate(("BTC/USDT", "ETH/USDT"), 1)}
    events = [
        Onset("LIQUIDATION_CASCADE", "long", "ALL", tuple(known), at(1000 + n * 100)) for n in range(25)
    ]
    table = score(events, known, source="", settings="", from_ms=FROM_MS, to_ms=FROM_MS + 20 * WEEK_MS)
    assert effect(table).n == 25
    assert {group.symbol for group in table.groups} == {"", "ALL"}


def test_without_events_or_series_there_is_an_empty_table() -> None:
    assert scored([], series(2)).groups == []
    assert (
        score([onset(FROM_MS)], {}, source="", settings="", from_ms=FROM_MS, to_ms=TO_MS).groups[0].effects
        == []
    )


def test_the_same_input_gives_the_same_table(planted: tuple[list[int], Series], found: ScoreTable) -> None:
    chosen, known = planted
    assert scored([onset(at(place)) for place in chosen], known) == found


def test_a_table_survives_storage(found: ScoreTable) -> None:
    assert msgspec.json.decode(msgspec.json.encode(found), type=ScoreTable) == msgspec.structs.replace(
        found, groups=[msgspec.structs.replace(g, effects=list(g.effects)) for g in found.groups]
    )
    assert isinstance(found.groups[0], Group)
    assert np.isfinite([each.effect or 0.0 for g in found.groups for each in g.effects]).all()
