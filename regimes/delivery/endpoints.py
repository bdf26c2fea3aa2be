"""From the URLs in `WEBHOOKS_*` to named endpoints; past this point nothing but a target sees a URL."""

import hashlib
from collections.abc import Mapping
from enum import StrEnum
from typing import Final

import msgspec
from yarl import URL

from regimes.errors import ConfigError

_DISCORD_HOSTS: Final = frozenset(
    f"{prefix}{host}" for prefix in ("", "ptb.", "canary.") for host in ("discord.com", "discordapp.com")
)
_TELEGRAM_HOST: Final = "api.telegram.org"
_SLACK_HOSTS: Final = frozenset({"hooks.slack.com", "hooks.slack-gov.com"})


class Kind(StrEnum):
    """What stands behind a URL."""

    DISCORD = "discord"
    TELEGRAM = "telegram"
    SLACK = "slack"
    HTTP = "http"
    APPRISE = "apprise"


class Endpoint(msgspec.Struct, frozen=True, kw_only=True):
    """One receiver. Its name is what logs, tables, metrics and pages show; its URL is a credential.

    routes: which `WEBHOOKS_*` name it, such as CASCADE or ALL. url: without what `params` holds.
    params: Telegram's chat_id and message_thread_id, Discord's thread_id.
    """

    name: str
    kind: Kind
    routes: frozenset[str]
    url: str
    params: Mapping[str, str] = {}

    @property
    def fingerprint(self) -> str:
        """Changes when the receiver does: what was learned about the old one is then forgotten."""
        whole = "\n".join([self.url, *(f"{key}={value}" for key, value in sorted(self.params.items()))])
        return hashlib.sha256(whole.encode()).hexdigest()[:16]

    def __repr__(self) -> str:
        return f"Endpoint({self.name}, routes={'+'.join(sorted(self.routes))})"


class _Found(msgspec.Struct, frozen=True):
    kind: Kind
    url: str
    params: Mapping[str, str] = {}


def parse_endpoints(
    urls: Mapping[str, str], *, bases: Mapping[str, str] | None = None, with_apprise: bool = False
) -> tuple[Endpoint, ...]:
    """Read comma-separated URLs by route: `{"CASCADE": "https://...,https://...", "ALL": "..."}`.

    A URL that stands in several routes is one endpoint, named after the first: `discord-cascade-1`.
    bases: replaces scheme, host and port by kind, such as `{"discord": "http://127.0.0.1:8080"}`, for local receivers.
    with_apprise: whether other schemes (`ntfy://`, `mailto://`) can be sent to.
    Raises ConfigError, which names variable, position and rule, and never shows a URL.
    """
    found: dict[tuple[str, str], tuple[str, _Found, set[str]]] = {}
    for route, text in urls.items():
        counts: dict[Kind, int] = {}
        for position, url in enumerate((part.strip() for part in text.split(",")), start=1):
            if not url:
                continue
            receiver = _recognise(url, f"WEBHOOKS_{route}: URL {position}", with_apprise=with_apprise)
            counts[receiver.kind] = counts.get(receiver.kind, 0) + 1
            key = (receiver.url, str(sorted(receiver.params.items())))
            name = f"{receiver.kind}-{route.lower()}-{counts[receiver.kind]}"
            found.setdefault(key, (name, receiver, set()))[2].add(route)
    return tuple(_endpoint(name, receiver, routes, bases or {}) for name, receiver, routes in found.values())


def _endpoint(name: str, found: _Found, routes: set[str], bases: Mapping[str, str]) -> Endpoint:
    url = found.url
    if found.kind in bases:
        path = URL(url, encoded=True).raw_path_qs
        url = bases[found.kind].rstrip("/") + path
    return Endpoint(name=name, kind=found.kind, routes=frozenset(routes), url=url, params=found.params)


def _recognise(text: str, place: str, *, with_apprise: bool) -> _Found:
    try:
        url = URL(text, encoded=True)
        host, _ = (url.host or "").lower(), url.port
    except ValueError:
        raise ConfigError(f"{place}: is no URL: write it like https://host/path") from None
    if url.scheme not in {"http", "https"}:
        return _other_scheme(text, url, place, with_apprise=with_apprise)
    if not host:
        raise ConfigError(f"{place}: has no host: write it like https://host/path")
    if host in _DISCORD_HOSTS:
        return _discord(url, place)
    if host == _TELEGRAM_HOST:
        return _telegram(url, place)
    if host in _SLACK_HOSTS:
        return _slack(url, place)
    return _Found(Kind.HTTP, str(url.with_fragment(None)))


def _discord(url: URL, place: str) -> _Found:
    """`/api/webhooks/<id>/<token>`, perhaps with a version, `/slack` or `/github`.

    Unversioned URLs lead to API 6, whose retry_after is in milliseconds, so all are sent to 10.
    """
    parts = [part for part in url.raw_path.split("/") if part]
    if "webhooks" not in parts or len(parts) < parts.index("webhooks") + 3:
        raise ConfigError(f"{place}: a Discord webhook is https://discord.com/api/webhooks/<id>/<token>")
    webhook_id, token = parts[parts.index("webhooks") + 1 :][:2]
    if not webhook_id.isdigit():
        raise ConfigError(
            f"{place}: the id of a Discord webhook is a number: copy the URL again from Discord"
        )
    thread = url.query.get("thread_id")
    params = {"thread_id": thread} if thread else {}
    return _Found(Kind.DISCORD, f"https://discord.com/api/v10/webhooks/{webhook_id}/{token}", params)


def _telegram(url: URL, place: str) -> _Found:
    parts = [part for part in url.raw_path.split("/") if part]
    chat_id = url.query.get("chat_id", "")
    if len(parts) != 2 or not parts[0].startswith("bot") or ":" not in parts[0] or not chat_id:
        raise ConfigError(
            f"{place}: Telegram is https://api.telegram.org/bot<token>/sendMessage?chat_id=<id>, "
            "with the token from @BotFather and the id of the chat"
        )
    thread = url.query.get("message_thread_id")
    params = {"chat_id": chat_id} | ({"message_thread_id": thread} if thread else {})
    return _Found(Kind.TELEGRAM, f"https://{_TELEGRAM_HOST}/{parts[0]}", params)


def _slack(url: URL, place: str) -> _Found:
    parts = [part for part in url.raw_path.split("/") if part]
    if len(parts) != 4 or parts[0] != "services":
        raise ConfigError(
            f"{place}: a Slack incoming webhook is https://hooks.slack.com/services/T.../B.../...; "
            "workflow triggers cannot be used: create an incoming webhook"
        )
    return _Found(Kind.SLACK, f"https://{url.host}{url.raw_path}")


def _other_scheme(text: str, url: URL, place: str, *, with_apprise: bool) -> _Found:
    if not url.scheme:
        raise ConfigError(f"{place}: has no scheme: write it like https://host/path")
    if not with_apprise:
        raise ConfigError(
            f"{place}: scheme {url.scheme}:// needs the extra: pip install 'regimes[apprise]'; "
            "without it only http:// and https:// can be used"
        )
    return _Found(Kind.APPRISE, text)
