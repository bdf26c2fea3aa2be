"""What the policy would have answered: decisions and messages for events of the past."""

from collections.abc import Iterable, Sequence
from typing import Final

import msgspec

from regimes.alerting.policy import Policy
from regimes.alerting.records import Action, Decision, Route, Verdicts
from regimes.alerting.settings import AlertingSettings
from regimes.events import Event
from regimes.study.player import Happened

EVERYTHING: Final = "everything"
"""The endpoint that is assumed where none is configured: it wants all sources."""


class Message(msgspec.Struct, frozen=True, gc=False):
    """One message: when, about what, and why it was sent."""

    ts_ms: int
    event: Event
    decision: Decision


class Judged(msgspec.Struct, frozen=True):
    """What the policy said. messages: those that ring, edits of earlier ones left out."""

    decisions: Sequence[Decision]
    messages: Sequence[Message]


def one_for_all(settings: AlertingSettings) -> list[Route]:
    """Return the routes of a single endpoint that wants everything from the least severity on."""
    return [Route(endpoint=EVERYTHING, sources=frozenset({"ALL"}), minimum=settings.minimum)]


def judge(
    happened: Iterable[Happened], settings: AlertingSettings, routes: Sequence[Route], end_ms: int
) -> Judged:
    """Run the policy over events in order; it speaks on its own (reminders, bursts) up to `end_ms`, not a moment late."""
    policy = Policy(settings, routes)
    decisions: list[Decision] = []
    messages: list[Message] = []

    def take(verdicts: Verdicts, now_ms: int) -> None:
        decisions.extend(verdicts.decisions)
        sends = [decision for decision in verdicts.decisions if decision.action is Action.SEND]
        orders = [order.event for order in verdicts.dispatches if not order.edit]
        messages.extend(map(Message, [now_ms] * len(sends), orders, sends))

    def speak(from_ms: int, to_ms: int) -> None:
        while (from_ms := policy.due_ms(from_ms) or to_ms + 1) <= to_ms:
            take(policy.tick(from_ms), from_ms)

    now_ms = 0
    for item in happened:
        speak(now_ms, item.ts_ms)
        now_ms = item.ts_ms
        take(policy.tick(now_ms), now_ms)
        take(policy.decide(item.event, now_ms), now_ms)
    speak(now_ms, end_ms)
    return Judged(decisions, messages)
