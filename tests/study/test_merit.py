from typing import Any

import pytest

from regimes.alerting.records import Action, Decision, Reason
from regimes.events import Event, EventType, Phase, Severity
from regimes.study.merit import Merit, about, merit
from regimes.study.targets import Kind, Target
from regimes.study.tune import choose
from regimes.study.verdicts import Message
from regimes.timeframe import DAY_MS, HOUR_MS, WEEK_MS

SYMBOLS = ("BTC/USDT", "ETH/USDT")
END_MS = 4 * WEEK_MS
BURST = {"events": [{"symbol": "BTC/USDT"}, {"symbol": "XRP/USDT"}]}


def message(
    at_ms: int, symbol: str = "BTC/USDT", kind: EventType = EventType.VOLATILITY_REGIME, **data: Any
) -> Message:
    event = Event(
        type=kind,
        symbol=symbol,
        severity=Severity.WARNING,
        phase=Phase.OPENED,
        ts_ms=at_ms,
        started_ms=at_ms,
        revision=0,
        title="",
        description="",
        why="",
        data=data,
    )
    decision = Decision(
        event_id=event.id,
        revision=0,
        endpoint="e",
        action=Action.SEND,
        reason=Reason.OPENED,
        words="",
        ts_ms=at_ms,
    )
    return Message(at_ms, event, decision)


def move(from_ms: int, until_ms: int, symbol: str = "BTC/USDT", kind: Kind = Kind.LARGE_MOVE) -> Target:
    return Target(kind, symbol, from_ms, until_ms)


def test_the_first_message_inside_a_move_catches_it_with_its_delay() -> None:
    told = [message(2 * DAY_MS + 5 * HOUR_MS), message(2 * DAY_MS + 9 * HOUR_MS), message(9 * DAY_MS)]
    found = merit(told, [move(2 * DAY_MS, 3 * DAY_MS), move(5 * DAY_MS, 6 * DAY_MS)], SYMBOLS, 0, END_MS)
    assert (found.messages, found.useful, found.moves, found.caught) == (3, 2, 2, 1)
    assert (found.a_week, found.recall, found.delay_hours) == (0.75, 0.5, 5.0)
    assert found.precision == pytest.approx(2 / 3)


@pytest.mark.parametrize(
    ("at_ms", "caught"),
    [
        (2 * DAY_MS - 12 * HOUR_MS - 1, 0),
        (2 * DAY_MS - 12 * HOUR_MS, 1),
        (3 * DAY_MS - 1, 1),
        (3 * DAY_MS, 0),
    ],
)
def test_a_message_up_to_twelve_hours_early_counts_and_one_after_the_end_does_not(
    at_ms: int, caught: int
) -> None:
    found = merit([message(at_ms)], [move(2 * DAY_MS, 3 * DAY_MS)], SYMBOLS, 0, END_MS)
    assert (found.caught, found.useful) == (caught, caught)
    assert all(delay >= 0 for delay in found.delays_ms)


def test_a_message_about_another_symbol_catches_nothing() -> None:
    found = merit([message(DAY_MS, "ETH/USDT")], [move(DAY_MS, 2 * DAY_MS)], SYMBOLS, 0, END_MS)
    assert (found.caught, found.useful) == (0, 0)


@pytest.mark.parametrize(
    ("symbol", "data", "named"),
    [
        ("ALL", {}, SYMBOLS),
        ("BTC/ETH", {"symbols": ["BTC/USDT", "ETH/USDT"]}, SYMBOLS),
        ("MANY", BURST, ("BTC/USDT",)),
        ("MANY", {"events": [{"symbol": "ALL"}]}, SYMBOLS),
        ("XRP/USDT", {}, ()),
    ],
)
def test_events_of_pairs_bursts_and_the_market_are_about_their_symbols(
    symbol: str, data: dict[str, Any], named: tuple[str, ...]
) -> None:
    assert about(message(0, symbol, **data).event, SYMBOLS) == named


def test_only_a_message_about_liquidations_catches_a_deleveraging() -> None:
    forced = move(DAY_MS, DAY_MS + 2 * HOUR_MS, kind=Kind.DELEVERAGING)
    for kind, caught in ((EventType.VOLATILITY_REGIME, 0), (EventType.LIQUIDATION_CASCADE, 1)):
        found = merit([message(DAY_MS, kind=kind)], [forced], SYMBOLS, 0, END_MS)
        assert (found.deleveragings, found.deleveragings_caught) == (1, caught)


def test_targets_that_reach_over_the_edge_count_on_neither_side() -> None:
    across, told = [move(WEEK_MS - DAY_MS, WEEK_MS + DAY_MS)], [message(WEEK_MS)]
    assert merit(told, across, SYMBOLS, 0, WEEK_MS).moves == 0
    assert merit(told, across, SYMBOLS, WEEK_MS, END_MS).moves == 0


def test_spans_add_up() -> None:
    one, other = Merit(2.0, 4, 1, 3, 1, (5,), 1, 0), Merit(1.0, 2, 2, 1, 1, (7,), 0, 0)
    assert one + other == Merit(3.0, 6, 3, 4, 2, (5, 7), 1, 0)


def test_what_never_happened_has_no_share() -> None:
    nothing = Merit()
    assert (nothing.a_week, nothing.recall, nothing.precision, nothing.delay_hours) == (0.0, None, None, None)


def test_within_the_budget_the_one_that_catches_most_is_chosen() -> None:
    loud, good, quiet = Merit(1.0, 30, 9, 9, 9), Merit(1.0, 9, 5, 9, 7), Merit(1.0, 2, 2, 9, 3)
    assert choose([loud, good, quiet], 10.0) == 1
    assert choose([loud, good, quiet], 100.0) == 0
    assert choose([loud, good, quiet], 0.5) == 2


def test_of_equals_the_more_useful_and_then_the_sooner_is_chosen() -> None:
    plain, useful = Merit(1.0, 4, 1, 9, 5, (9,)), Merit(1.0, 4, 3, 9, 5, (9,))
    sooner = Merit(1.0, 4, 3, 9, 5, (2,))
    assert choose([plain, useful], 10.0) == 1
    assert choose([plain, useful, sooner], 10.0) == 2
