"""What happens to each frame of one venue: read, counted, deduplicated, passed on; in the call that received it."""

from collections.abc import Callable, Mapping, Sequence
from typing import Any, Final, TypeAlias

import structlog

from regimes.clock import Clock
from regimes.errors import DataError
from regimes.feeds import frames, parse
from regimes.feeds.bars import BarAccount
from regimes.feeds.connection import Connection
from regimes.feeds.funding import FundingAccount
from regimes.feeds.gaps import GapTeller
from regimes.feeds.line import Line
from regimes.feeds.status import Meter
from regimes.feeds.symbols import SymbolMap
from regimes.observations import Candle, DataKind, Liquidation, MarkPrice, Observation

Put: TypeAlias = Callable[[Sequence[Observation], str | bytes], None]
_log = structlog.get_logger()

_REMEMBER_S: Final = 120.0
_REMEMBER_MOST: Final = 50_000
_LOGGED_POISON: Final = 10
# By what a frame that cannot be read most likely was.
_MARKS: Final[tuple[tuple[str, DataKind], ...]] = (
    ("forceOrder", "liquidation"),
    ("kline", "candle"),
    ("markPrice", "mark_price"),
)


class Recent:
    """Remembers liquidations for two to four minutes, long enough for two connections that overlap.

    In a cascade it remembers the last 50,000 to 100,000, so that memory is bounded.
    """

    def __init__(self, now: float) -> None:
        self._turned_at = now
        self._young: set[Liquidation] = set()
        self._old: set[Liquidation] = set()

    def is_new(self, found: Liquidation, now: float) -> bool:
        """True the first time. now: monotonic seconds."""
        if now - self._turned_at > _REMEMBER_S or len(self._young) >= _REMEMBER_MOST:
            self._old, self._young, self._turned_at = self._young, set(), now
        if self._old and found in self._old:
            return False
        before = len(self._young)
        self._young.add(found)
        return len(self._young) > before


class Receiver:
    """Takes every frame of one venue (a `Tap`). Nothing here waits; nothing it raises gets past the guard."""

    def __init__(
        self,
        venue: str,
        *,
        clock: Clock,
        put: Put,
        bars: Mapping[str, BarAccount],
        funding: FundingAccount,
        liquidation_gaps: GapTeller,
    ) -> None:
        self.symbols = SymbolMap({})
        self.wanted: frozenset[str] = frozenset()
        """Configured symbols this venue's mark prices are taken for."""
        self.marks: dict[str, MarkPrice] = {}
        """The newest of each symbol."""
        self.duplicates = 0
        self._frame: str | bytes = ""
        self._venue = venue
        self._clock = clock
        self._put = put
        self._bars = bars
        self._funding = funding
        self._gaps = liquidation_gaps
        self._recent = Recent(clock.monotonic())
        self._at: dict[str, tuple[Line, Connection]] = {}

    def register(self, url: str, line: Line, connection: Connection) -> None:
        """Frames from `url` belong to this connection from now on."""
        self._at[url] = (line, connection)

    def take(self, url: str, frame: str | bytes) -> bool:
        """Take a frame as they usually look; False, and nothing done, for any other."""
        self._frame = frame
        try:
            event_ms, found = frames.read(frame, self._venue, self.symbols.by_id, self._bars)
        except frames.UNUSUAL:
            return False
        if isinstance(found, Candle):
            self._formed(url, found, event_ms)
        elif isinstance(found, list):
            self._marked(url, found)
        else:
            self._liquidated(url, found, event_ms)
        return True

    def liquidation(self, url: str, frame: dict[str, Any]) -> None:
        found = parse.liquidation(frame, venue=self._venue, symbol_of=self.symbols.symbol)
        self._liquidated(url, found, parse.event_time(frame))

    def candle(self, url: str, frame: dict[str, Any]) -> None:
        found = parse.candle(frame, venue=self._venue, symbol_of=self.symbols.symbol)
        self._formed(url, found, parse.event_time(frame))

    def mark_prices(self, url: str, frames: list[Any]) -> None:
        found = []
        for frame in frames:
            try:
                found.append(self._read_mark(frame))
            except DataError as error:
                self.poison(url, error, frame)
        self._marked(url, found)

    def _read_mark(self, frame: Any) -> MarkPrice:
        if not isinstance(frame, dict) or frame.get("e") != "markPriceUpdate":
            raise DataError("markPriceUpdate: an array must hold mark prices only")
        return parse.mark_price(frame, venue=self._venue, symbol_of=self.symbols.symbol)

    def _liquidated(self, url: str, found: Liquidation | None, event_ms: int | None) -> None:
        now = self._clock.monotonic()
        meter = self._hear(url, "liquidation", event_ms, now)
        if found is None:
            meter.ignored += 1
        elif self._recent.is_new(found, now):
            self._put((found,), self._frame)
        else:
            self.duplicates += 1

    def _formed(self, url: str, found: Candle, event_ms: int | None) -> None:
        self._hear(url, "candle", event_ms, self._clock.monotonic())
        bars = self._bars.get(found.timeframe)
        if bars is None or not bars.wants(found):
            self.duplicates += found.closed
            return
        if found.closed:
            bars.delivered(found)
        self._put((found,), self._frame)

    def _marked(self, url: str, found: Sequence[MarkPrice]) -> None:
        if not found:
            return
        self._hear(url, "mark_price", found[-1].ts_ms, self._clock.monotonic(), len(found))
        newest, due_ms, news = self.marks, self._funding.next_ms, []
        for mark in found:
            symbol, next_ms = mark.symbol, mark.next_funding_ms
            if symbol not in self.wanted or ((known := newest.get(symbol)) and mark.ts_ms <= known.ts_ms):
                continue
            newest[symbol] = mark
            if next_ms is not None and next_ms != due_ms.get(symbol):
                self._funding.announced(symbol, next_ms)
            news.append(mark)
        self._put(news, self._frame)

    def _hear(self, url: str, kind: DataKind, event_ms: int | None, now: float, messages: int = 1) -> Meter:
        line, connection = self._at[url]
        meter = line.meters.get(kind)
        if meter is None:
            raise DataError(f"{kind} data on {line.name}, which did not ask for it")
        connection.heard_at = now
        if not connection.delivered.is_set():
            connection.delivered.set()
        meter.hear(now, event_ms, messages)
        return meter

    def ignored(self, url: str, event: object) -> None:
        line, _ = self._at[url]
        meter = next(iter(line.meters.values()))
        meter.ignored += 1
        if meter.ignored <= _LOGGED_POISON:
            _log.info("event_ignored", venue=self._venue, line=line.name, event_type=str(event)[:40])

    def poison(self, url: str, error: Exception, raw: object) -> None:
        line, _ = self._at[url]
        kind = _likely_kind(raw, line.meters)
        meter = line.meters[kind]
        meter.poison += 1
        if kind == "liquidation":
            self._gaps.unreadable()
        if meter.poison <= _LOGGED_POISON or meter.poison % 1000 == 0:
            _log.warning(
                "frame_unreadable",
                venue=self._venue,
                line=line.name,
                count=meter.poison,
                error=f"{type(error).__name__}: {str(error)[:200]}",
                frame=str(raw)[:200],
            )


def _likely_kind(raw: object, carried: Mapping[DataKind, Meter]) -> DataKind:
    """What an unreadable frame most likely was; without a hint, the worst it can have been: a liquidation."""
    text = str(raw)
    for mark, kind in _MARKS:
        if mark in text and kind in carried:
            return kind
    return "liquidation" if "liquidation" in carried else next(iter(carried))
