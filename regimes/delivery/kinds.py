"""What each kind of receiver is: its target, its schedule, how many at a time, how fast, until when."""

from collections.abc import Callable, Sequence
from typing import Final

import msgspec

from regimes.delivery.base import Target
from regimes.delivery.endpoints import Endpoint, Kind
from regimes.delivery.pace import Rate
from regimes.delivery.schedule import CHAT_WAITS_S, JSON_WAITS_S
from regimes.delivery.settings import DEFAULTS, DeliverySettings
from regimes.delivery.targets.apprise import AppriseTarget
from regimes.delivery.targets.discord import DiscordTarget
from regimes.delivery.targets.http import HttpTarget
from regimes.delivery.targets.slack import SlackTarget
from regimes.delivery.targets.telegram import TelegramTarget
from regimes.timeframe import HOUR_MS, MINUTE_MS

_ONE_A_SECOND: Final = Rate(1, 1.0)
_TWENTY_A_MINUTE: Final = Rate(20, 60.0)


class Traits(msgspec.Struct, frozen=True, kw_only=True):
    """How deliveries to an endpoint are treated.

    waits_s: before each try. workers: deliveries under way at a time; a chat gets one, so that messages keep their
    order and an edit knows the message it edits. rates, pace_key: endpoints with the same key share the rates.
    """

    waits_s: Sequence[float]
    workers: int
    expiry_ms: int
    rates: tuple[Rate, ...] = ()
    pace_key: str = ""


def traits(endpoint: Endpoint, settings: DeliverySettings = DEFAULTS) -> Traits:
    """The traits of one endpoint."""
    if endpoint.kind is Kind.HTTP:
        return Traits(waits_s=JSON_WAITS_S, workers=8, expiry_ms=round(settings.json_expiry_hours * HOUR_MS))
    rates: tuple[Rate, ...] = ()
    pace_key = endpoint.name
    if endpoint.kind is Kind.SLACK:
        rates = (_ONE_A_SECOND,)
    if endpoint.kind is Kind.TELEGRAM:
        chat_id = endpoint.params["chat_id"]
        # Ids of groups are negative; a channel's @name is as slow as a group.
        rates = (_ONE_A_SECOND,) if chat_id.isdigit() else (_ONE_A_SECOND, _TWENTY_A_MINUTE)
        pace_key = f"telegram:{chat_id}"
    return Traits(
        waits_s=CHAT_WAITS_S,
        workers=1,
        expiry_ms=round(settings.chat_expiry_minutes * MINUTE_MS),
        rates=rates,
        pace_key=pace_key,
    )


def target_for(endpoint: Endpoint, secrets: Sequence[bytes] = ()) -> Target:
    """Build the target of an endpoint; secrets: for signatures, the current one first."""
    if endpoint.kind is Kind.HTTP:
        return HttpTarget(endpoint, secrets)
    return _CHATS[endpoint.kind](endpoint)


_CHATS: Final[dict[Kind, Callable[[Endpoint], Target]]] = {
    Kind.DISCORD: DiscordTarget,
    Kind.TELEGRAM: TelegramTarget,
    Kind.SLACK: SlackTarget,
    Kind.APPRISE: AppriseTarget,
}
