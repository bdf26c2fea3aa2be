"""What is left of the events of one catch-up: what is not over yet, or was told before."""

from regimes.events import Event, EventType, Phase, Severity
from regimes.features.latch import news


def event(started_ms: int, phase: Phase) -> Event:
    return Event(
        type=EventType.VOLATILITY_REGIME,
        symbol="BTC/USDT",
        severity=Severity.INFO,
        phase=phase,
        ts_ms=started_ms,
        started_ms=started_ms,
        revision=0,
        title="",
        description="",
        why="",
        data={},
    )


def test_episode_that_began_and_ended_in_one_catch_up_is_history() -> None:
    told_before = event(1, Phase.CLOSED)
    history = [event(2, Phase.OPENED), event(2, Phase.UPDATED), event(2, Phase.CLOSED)]
    still_open = [event(3, Phase.OPENED), event(3, Phase.UPDATED)]
    assert news([told_before, *history, *still_open]) == [told_before, *still_open]
