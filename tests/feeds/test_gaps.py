"""Gaps are told when noticed and again with their end."""

from regimes.feeds.gaps import GapTeller
from regimes.feeds.status import Meter, summarise
from regimes.observations import FeedGap, Observation


class Hands:
    """A clock that stands where it is put."""

    speed = 1.0

    def __init__(self) -> None:
        self.seconds = 1_000.0

    def now_ms(self) -> int:
        return int(self.seconds * 1000)

    def monotonic(self) -> float:
        return self.seconds

    async def sleep(self, event_seconds: float) -> None:
        self.seconds += event_seconds


def teller() -> tuple[GapTeller, Hands, list[FeedGap]]:
    clock, told = Hands(), list[FeedGap]()

    def put(observation: Observation) -> None:
        assert isinstance(observation, FeedGap)
        told.append(observation)

    return GapTeller("binanceusdm", "liquidation", clock, put), clock, told


def test_a_gap_is_told_open_and_again_with_its_end() -> None:
    gap, clock, told = teller()
    gap.begin(5, "not yet running")
    clock.seconds += 10
    gap.end()
    assert [(entry.from_ms, entry.to_ms, entry.ts_ms) for entry in told] == [
        (5, None, 1_000_000),
        (5, 1_010_000, 1_010_000),
    ]
    assert {entry.reason for entry in told} == {"not yet running"}


def test_contact_lost_begins_before_the_last_message_as_late_events_were_on_their_way() -> None:
    gap, clock, told = teller()
    clock.seconds = 1_020.0
    gap.lost_contact(1_005.0, "closed")
    assert told[0].from_ms == 1_005_000 - 2_000


def test_a_second_loss_inside_a_gap_is_the_same_gap() -> None:
    gap, _, told = teller()
    gap.begin(5, "first")
    gap.begin(7, "second")
    gap.end()
    gap.end()
    assert [entry.from_ms for entry in told] == [5, 5]
    assert gap.count == 1


def test_unreadable_messages_are_told_together() -> None:
    gap, clock, told = teller()
    gap.unreadable()
    clock.seconds += 0.5
    gap.unreadable()
    gap.flush()
    gap.flush()
    (entry,) = told
    assert (entry.from_ms, entry.to_ms, entry.reason) == (998_000, 1_000_500, "unreadable messages: 2")


def test_a_streams_status_is_that_of_its_quietest_connection() -> None:
    clock = Hands()
    lively, quiet, silent = Meter(), Meter(), Meter()
    quiet.hear(990.0, 989_700)
    lively.hear(999.0, 998_900)
    lively.hear(999.5, 999_400)
    found = summarise("v", "candle", [lively, quiet], clock, connected=True, gaps=2, reconnects=3)
    assert (found.age_s, found.lag_ms, found.messages) == (10.0, 300, 3)
    nothing = summarise("v", "candle", [lively, silent], clock, connected=False, gaps=0, reconnects=0)
    assert (nothing.age_s, nothing.lag_ms) == (None, None)
