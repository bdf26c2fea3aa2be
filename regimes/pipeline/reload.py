"""Takes [alerting] and [delivery] anew while the service runs: all of it, or nothing."""

import asyncio
from collections.abc import Callable
from contextlib import AsyncExitStack
from typing import Final

import structlog

from regimes.config import Settings
from regimes.config.load import leaves
from regimes.delivery.channel import open_channels
from regimes.errors import ConfigError
from regimes.pipeline.alerts import Alerts, endpoints_of, signing_secrets
from regimes.pipeline.basis import changed_bases, feature_settings

SECTIONS: Final = ("alerting", "delivery")
_log = structlog.get_logger(__name__)


class Reload:
    """read: reads the settings as a start would; raises ConfigError. learn: told them before they are used.

    asked: set whenever it is to be done.
    """

    def __init__(
        self,
        alerts: Alerts,
        read: Callable[[], Settings],
        learn: Callable[[Settings], None],
        asked: asyncio.Event,
    ) -> None:
        self._asked = asked
        self._alerts = alerts
        self._read = read
        self._learn = learn
        self._features = feature_settings(alerts.settings)

    async def run(self) -> None:
        """Reload whenever it is asked for, until cancelled. Clients of earlier settings are closed at the end."""
        async with AsyncExitStack() as opened:
            while True:
                await self._asked.wait()
                self._asked.clear()
                await self._once(opened)

    async def _once(self, opened: AsyncExitStack) -> None:
        try:
            # Files and keys of secrets may be slow to read; nothing else waits for them.
            found = await asyncio.to_thread(self._read)
            self._learn(found)
            settings = self._alerts.settings.with_sections_of(found, *SECTIONS)
            async with AsyncExitStack() as trying:
                channels = await trying.enter_async_context(
                    open_channels(endpoints_of(found), found.delivery, secrets=signing_secrets(found))
                )
                self._alerts.change(settings, channels)
                opened.push_async_callback(trying.pop_all().aclose)
        except ConfigError as error:
            _log.error("settings_not_reloaded", error=str(error), words="everything goes on as before")
            return
        _log.info(
            "settings_reloaded",
            endpoints=[endpoint.name for endpoint in self._alerts.endpoints],
            need_a_restart=[
                *_changed(settings, found),
                *changed_bases(self._features, feature_settings(settings)),
            ],
        )


def _changed(now: Settings, found: Settings) -> list[str]:
    """Settings of other sections that differ: they take effect with a restart alone."""
    return [path for path, _ in leaves(type(now)) if _value(now, path) != _value(found, path)]


def _value(settings: Settings, path: str) -> object:
    value: object = settings
    for part in path.split("."):
        value = getattr(value, part)
    return value
