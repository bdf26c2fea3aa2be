"""Stored records as the API shows them."""

from collections import defaultdict
from collections.abc import Iterable, Sequence
from datetime import datetime
from statistics import median

from regimes.alerting.message import unpack
from regimes.alerting.records import Silence
from regimes.delivery.counters import Counters
from regimes.delivery.outbox import EndpointStatus
from regimes.events import EventBody, Phase, Severity
from regimes.observations import Candle
from regimes.storage.base import Delivery, Liquidated
from regimes.timeframe import HOUR_MS, aggregate, bar_open, to_ms
from regimes.web.shapes import Bar, DeliveryView, EndpointView, SilenceView, Track


def delivery_view(delivery: Delivery) -> DeliveryView:
    """A delivery without the bytes it carries."""
    message = unpack(delivery.message).message
    return DeliveryView(
        id=delivery.id,
        event_id=delivery.event_id,
        revision=delivery.revision,
        endpoint=delivery.endpoint,
        title=message.title,
        severity=message.severity.name,
        status=delivery.status.value,
        attempt=delivery.attempt,
        created_ms=delivery.created_ms,
        next_at_ms=delivery.next_at_ms,
        expires_at_ms=delivery.expires_at_ms,
        reminder=delivery.reminder,
        is_replay=delivery.is_replay,
    )


def endpoint_view(status: EndpointStatus, counters: Counters) -> EndpointView:
    """An endpoint with what was counted for it since the start."""
    return EndpointView(
        name=status.name,
        kind=status.kind,
        routes=status.routes,
        phase=status.phase.value,
        reason=status.reason,
        hold_until_ms=status.hold_until_ms,
        under_way=status.under_way,
        tries={outcome.value: n for (name, outcome), n in counters.tries.items() if name == status.name},
        ended={ended.value: n for (name, ended), n in counters.ended.items() if name == status.name},
    )


def silence_view(silence: Silence, now_ms: int) -> SilenceView:
    """A silence, and whether it holds now."""
    return SilenceView(
        id=silence.id,
        created_ms=silence.created_ms,
        until_ms=silence.until_ms,
        comment=silence.comment,
        event_type=silence.event_type,
        symbol=silence.symbol,
        up_to=silence.up_to.name,
        active=silence.until_ms > now_ms,
    )


def tracks(events: Iterable[EventBody]) -> Sequence[Track]:
    """How episodes went, by type."""
    by_type: dict[str, list[EventBody]] = defaultdict(list)
    for event in events:
        by_type[event.event_type].append(event)
    return [_track(kind, episodes) for kind, episodes in sorted(by_type.items())]


def _track(kind: str, episodes: Sequence[EventBody]) -> Track:
    ended = [_hours(event) for event in episodes if event.phase == Phase.CLOSED]
    return Track(
        event_type=kind,
        episodes=len(episodes),
        open=len(episodes) - len(ended),
        by_severity={
            level.name: sum(event.severity == level.name for event in episodes) for level in Severity
        },
        median_hours=round(median(ended), 3) if ended else None,
    )


def _hours(event: EventBody) -> float:
    lasted = datetime.fromisoformat(event.timestamp) - datetime.fromisoformat(event.started)
    return lasted.total_seconds() / 3600


def grouped(hours: Sequence[Candle], timeframe: str) -> Sequence[tuple[Candle, float]]:
    """Hourly bars, oldest first, as bars of a timeframe, each with the share of its hours that are there."""
    if timeframe == "1h":
        return [(bar, 1.0) for bar in hours]
    step_ms = to_ms(timeframe)
    groups: dict[int, list[Candle]] = {}
    for bar in hours:
        groups.setdefault(bar_open(bar.open_ms, step_ms), []).append(bar)
    spans = [aggregate(group, timeframe) for group in groups.values()]
    return [(span.candle, span.coverage) for span in spans]


def bar_views(
    bars: Iterable[tuple[Candle, float]],
    timeframe: str,
    sums: Sequence[Liquidated] | None,
    states: dict[int, str],
    closed_until_ms: int,
) -> Sequence[Bar]:
    """Bars with what was liquidated in them. sums: by hour, None when unknown. states: volatility by open time."""
    step_ms = to_ms(timeframe)
    longs: dict[int, float] = defaultdict(float)
    shorts: dict[int, float] = defaultdict(float)
    for hour in sums or ():
        longs[bar_open(hour.open_ms, step_ms)] += hour.long_usd
        shorts[bar_open(hour.open_ms, step_ms)] += hour.short_usd
    return [
        Bar(
            open_ms=bar.open_ms,
            open=bar.open,
            high=bar.high,
            low=bar.low,
            close=bar.close,
            base_volume=bar.base_volume,
            closed=bar.open_ms + step_ms <= closed_until_ms,
            coverage=coverage,
            long_usd=None if sums is None else round(longs[bar.open_ms], 2),
            short_usd=None if sums is None else round(shorts[bar.open_ms], 2),
            vol_regime=states.get(bar.open_ms),
        )
        for bar, coverage in bars
    ]


def whole_hours_end_ms(bars: Sequence[Candle]) -> int:
    """End of the newest closed hourly bar, 0 without one."""
    ends = [bar.open_ms + HOUR_MS for bar in bars if bar.closed]
    return max(ends, default=0)
