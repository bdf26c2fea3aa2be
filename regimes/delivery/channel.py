"""An endpoint ready to be sent to: its target, its transport, its traits."""

from collections.abc import AsyncIterator, Sequence
from contextlib import asynccontextmanager

import msgspec

from regimes.delivery.base import Target, Transport
from regimes.delivery.endpoints import Endpoint, Kind
from regimes.delivery.guard import AddressGuard
from regimes.delivery.kinds import Traits, target_for, traits
from regimes.delivery.settings import DeliverySettings
from regimes.delivery.targets.apprise import AppriseTransport
from regimes.delivery.transport import HttpTransport


class Channel(msgspec.Struct, frozen=True):
    """What a worker, or a test message, needs of one endpoint."""

    endpoint: Endpoint
    target: Target
    transport: Transport
    traits: Traits


@asynccontextmanager
async def open_channels(
    endpoints: Sequence[Endpoint], settings: DeliverySettings, *, secrets: Sequence[bytes] = ()
) -> AsyncIterator[tuple[Channel, ...]]:
    """Channels to all endpoints over one HTTP client, closed at the end. Raises ConfigError for `allow_cidrs`.

    secrets: as `signing.parse_secrets` gives them.
    """
    guard = AddressGuard(settings.allow_cidrs)
    async with HttpTransport(guard, timeout_s=settings.timeout_seconds) as http:
        apprise = AppriseTransport(timeout_s=settings.timeout_seconds)
        yield tuple(
            Channel(
                endpoint,
                target_for(endpoint, secrets),
                apprise if endpoint.kind is Kind.APPRISE else http,
                traits(endpoint, settings),
            )
            for endpoint in endpoints
        )
