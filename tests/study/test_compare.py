import msgspec

from regimes.events import Severity
from regimes.study.compare import Alert, compare
from regimes.timeframe import DAY_MS, HOUR_MS


def alert(
    started_ms: int, *, symbol: str = "BTC/USDT", sent_ms: int | None = None, severity: int = 2
) -> Alert:
    return Alert(
        f"evt_{symbol}{started_ms}",
        "VOLATILITY_REGIME",
        symbol,
        started_ms,
        started_ms if sent_ms is None else sent_ms,
        Severity(severity),
        "",
    )


def test_the_same_on_both_sides_is_no_difference() -> None:
    both = [alert(1), alert(HOUR_MS, symbol="ETH/USDT")]
    assert compare(both, list(reversed(both))) == []


def test_a_few_seconds_apart_is_the_same() -> None:
    assert compare([alert(0, sent_ms=5_000)], [alert(0, sent_ms=59_000)]) == []


def test_new_ones_are_added_and_gone_ones_lost_in_order_of_time() -> None:
    old, new = alert(0), alert(9 * DAY_MS)
    found = compare([old], [new])
    assert [(one.change, one.before, one.after) for one in found] == [
        ("lost", old, None),
        ("added", None, new),
    ]


def test_an_episode_that_rings_later_or_louder_has_moved() -> None:
    old = alert(0)
    for new in (alert(0, sent_ms=HOUR_MS), alert(0, severity=3)):
        (one,) = compare([old], [new])
        assert (one.change, one.before, one.after) == ("moved", old, new)


def test_an_episode_that_begins_at_another_hour_has_moved_to_the_nearest() -> None:
    old, near, far = alert(10 * HOUR_MS), alert(12 * HOUR_MS), alert(20 * HOUR_MS)
    moved, added = compare([old], [far, near])
    assert (moved.change, moved.after) == ("moved", near)
    assert (added.change, added.after) == ("added", far)


def test_another_symbol_or_another_day_is_another_alert() -> None:
    for new in (alert(0, symbol="ETH/USDT"), alert(DAY_MS + 1)):
        assert {one.change for one in compare([alert(0)], [new])} == {"lost", "added"}


def test_both_directions_mirror_each_other() -> None:
    before = [alert(0), alert(3 * DAY_MS), alert(9 * DAY_MS)]
    after = [alert(HOUR_MS), alert(3 * DAY_MS), alert(20 * DAY_MS)]
    turned = {"added": "lost", "lost": "added", "moved": "moved"}
    there, back = compare(before, after), compare(after, before)
    assert [turned[one.change] for one in there] == [one.change for one in back]
    assert msgspec.json.encode(there)
