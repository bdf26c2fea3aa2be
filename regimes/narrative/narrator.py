"""Gives each package and event its paragraph at once, and better words for it later where there are any."""

import asyncio
from collections import Counter, OrderedDict, deque
from collections.abc import Iterable, Mapping
from typing import Any, Final

import msgspec
import structlog

from regimes.clock import Clock
from regimes.events import EventBody
from regimes.narrative.phrases import TOLD
from regimes.narrative.rewriting import Failure, Masked, Rewriter
from regimes.narrative.settings import NarrativeSettings
from regimes.narrative.template import event_paragraph, package_paragraph

KEPT: Final = 1_000
WAITING: Final = 100
OUTCOMES: Final = (
    "rewritten",
    "cached",
    "budget",
    "dropped",
    "timeout",
    "rate_limited",
    "server_error",
    "error",
    "refused_numbers",
    "refused_words",
    "refused_form",
)
"""What can become of a paragraph that might be rewritten; in all but the first two the fixed words stay."""
_HOUR_S: Final = 3600.0
_log = structlog.get_logger(__name__)


class Narrator:
    """Paragraphs by fixed rules; with a model's service, the same ones in other words as soon as they come.

    counts: paragraphs by outcome. clock: real time, for the budget.
    """

    def __init__(self, settings: NarrativeSettings, clock: Clock) -> None:
        self.counts: Counter[str] = Counter(dict.fromkeys(OUTCOMES, 0))
        self._settings = settings
        self._clock = clock
        wanted = settings.api_key is not None and settings.per_hour > 0
        self._rewriter = Rewriter(settings) if wanted and Rewriter.is_installed() else None
        if wanted and self._rewriter is None:
            _log.warning("narrative_extra_missing", remedy="pip install 'regimes[narrative]'")
        self._queue: deque[Masked] = deque()
        self._has_work = asyncio.Event()
        self._better: OrderedDict[str, str | None] = OrderedDict()
        """By masked text; None where the answer was refused, so that it is not asked for again."""
        self._asked_s: deque[float] = deque()
        self._package_s: dict[str, float] = {}

    @property
    def rewrites(self) -> bool:
        """Whether there is a model to ask."""
        return self._rewriter is not None

    def event(self, event: EventBody) -> str:
        """The paragraph of an event by fixed rules."""
        return event_paragraph(event, self._settings.style)

    def take(self, events: Iterable[EventBody]) -> None:
        """Ask for better words for events that are told already."""
        for event in events:
            if self.rewrites and event.event_type in TOLD:
                self._want(self._masked(event))

    def better(self, event: EventBody) -> EventBody:
        """The event with the best paragraph there is by now."""
        if not self.rewrites or event.event_type not in TOLD:
            return event
        masked = self._masked(event)
        words = self._better.get(masked.text)
        return event if words is None else msgspec.structs.replace(event, narrative=masked.unmasked(words))

    def package(self, package: Mapping[str, Any]) -> str:
        """The best paragraph of a package: rewritten words only while every number in them still holds."""
        words = package_paragraph(package, self._settings.style)
        if not self.rewrites:
            return words
        masked = Masked.of(words, _names(package))
        better = self._better.get(masked.text)
        if better is not None:
            return masked.unmasked(better)
        symbol, now = str(package["symbol"]), self._clock.monotonic()
        last = self._package_s.get(symbol)
        if last is None or now - last >= self._settings.package_minutes * 60:
            self._package_s[symbol] = now
            self._want(masked)
        return words

    async def run(self) -> None:
        """Ask until cancelled."""
        if self._rewriter is None:
            return
        try:
            await self._rewriter.prepare()
            while True:
                await self._has_work.wait()
                if not self._queue:
                    self._has_work.clear()
                    continue
                await self._serve(self._rewriter, self._queue.popleft())
        finally:
            await self._rewriter.close()

    async def _serve(self, rewriter: Rewriter, masked: Masked) -> None:
        if masked.text in self._better:
            self.counts["cached"] += 1
            return
        if not self._may_ask():
            self.counts["budget"] += 1
            return
        answer = await rewriter.rewrite(masked.text)
        if isinstance(answer, Failure):
            self.counts[answer.outcome] += 1
            if answer.outcome.startswith("refused"):
                self._keep(masked.text, None)
            return
        self.counts["rewritten"] += 1
        self._keep(masked.text, answer)

    def _want(self, masked: Masked) -> None:
        if len(self._queue) >= WAITING:
            self._queue.popleft()
            self.counts["dropped"] += 1
        self._queue.append(masked)
        self._has_work.set()

    def _may_ask(self) -> bool:
        now = self._clock.monotonic()
        while self._asked_s and now - self._asked_s[0] >= _HOUR_S:
            self._asked_s.popleft()
        if len(self._asked_s) >= self._settings.per_hour:
            return False
        self._asked_s.append(now)
        return True

    def _keep(self, text: str, words: str | None) -> None:
        self._better[text] = words
        while len(self._better) > KEPT:
            self._better.popitem(last=False)

    def _masked(self, event: EventBody) -> Masked:
        return Masked.of(
            event_paragraph(event, self._settings.style), _names({"symbol": event.symbol, **event.data})
        )


def _names(facts: Mapping[str, Any]) -> set[str]:
    """Every name in a package or in an event's data that its paragraph may hold: none of them is sent."""
    found = {str(facts["symbol"])}
    for part in (facts, facts.get("correlations") or {}):
        for key in ("pair", "leading_asset"):
            found |= {part[key]} if isinstance(part.get(key), str) else set()
        for key in ("symbols", "lagging_assets", "breaks"):
            listed = part.get(key)
            found |= {str(name) for name in listed} if isinstance(listed, list | tuple) else set()
    market = facts.get("market") or {}
    for key in ("critical", "warning"):
        # `cascades BTC/USDT`: the signal's key, then whose it is.
        found |= {str(place).partition(" ")[2] for place in market.get(key) or ()}
    return found - {""}
