"""One redactor at the boundary: no secret leaves in a log line, a stored text, an error or an answer."""

import json
import re
from collections.abc import Iterable, Iterator, MutableMapping
from typing import Any, Final, Self
from urllib.parse import parse_qsl, quote, unquote, urlsplit

from pydantic import BaseModel, SecretStr

MASK: Final = "***"
# A webhook URL is a credential whatever the configuration says; these are masked even when nobody configured them.
_SHAPES: Final = (
    r"https?://[\w.-]*discord(?:app)?\.com/api/(?:v\d+/)?webhooks/[^\s\"'<>]+",
    r"webhooks/\d{15,}/[\w-]{20,}",
    r"https?://hooks\.slack(?:-gov)?\.com/[^\s\"'<>]+",
    r"(?:services|triggers|workflows)/T\w{6,}/[^\s\"'<>]+",
    r"(?:bot)?\d{6,}:[\w-]{30,}",
    r"whsec_[\w+/=-]+",
    r"(?<=://)[^\s/@\"'<>]+:[^\s/@\"'<>]+(?=@)",
)
_KEY: Final = r"secret|token|password|passwd|api[_-]?key|signature|authorization"
_NAMED: Final = re.compile(_KEY, re.IGNORECASE)
_NAMED_IN_TEXT: Final = re.compile(
    rf"((?:{_KEY})['\"]?\s*[=:]\s*['\"]?(?:(?:Bearer|Basic)\s+)?)([^\s&'\",;<>]+)", re.IGNORECASE
)
_SHORTEST_SECRET: Final = 4
"""Shorter ones would mask parts of ordinary words."""
_SHORTEST_URL_PART: Final = 6
_LONG_URL_PART: Final = 16


class Redactor:
    """Masks known secrets, whatever looks like a webhook URL, and values under names that sound like secrets.

    secrets: signing secrets, API keys, URLs that hold credentials, or several of them separated by commas. Of a URL
    the whole, its password, its query values and the long parts of its path are masked, in every usual spelling.
    """

    def __init__(self, secrets: Iterable[str] = ()) -> None:
        self._spelled: set[str] = set()
        self.learn(secrets)

    def learn(self, secrets: Iterable[str]) -> None:
        """Mask these too from now on."""
        known = {part for secret in secrets for part in _parts(secret)}
        self._spelled |= {form for secret in known for form in _spellings(secret)}
        # Longest first: a secret that begins like another is masked whole.
        exact = [re.escape(secret) for secret in sorted(self._spelled, key=lambda text: (-len(text), text))]
        self._pattern = re.compile("|".join([*exact, *_SHAPES]))

    @classmethod
    def of(cls, settings: BaseModel) -> Self:
        """A redactor of every secret the settings hold."""
        return cls(secrets_in(settings))

    def __call__(self, text: str) -> str:
        """The text with every secret masked."""
        return _NAMED_IN_TEXT.sub(rf"\1{MASK}", self._pattern.sub(MASK, text))

    def deep(self, value: Any) -> Any:
        """The value with every text in it masked; what is no JSON type is masked as its repr where that holds a secret."""
        if isinstance(value, str):
            return self(value)
        if isinstance(value, dict):
            return {self.deep(key): self._under(key, item) for key, item in value.items()}
        if isinstance(value, list | tuple | set | frozenset):
            return [self.deep(item) for item in value]
        if value is None or isinstance(value, bool | int | float):
            return value
        shown = repr(value)
        masked = self(shown)
        return value if masked == shown else masked

    def processor(
        self, _logger: Any, _method: str, event: MutableMapping[str, Any]
    ) -> MutableMapping[str, Any]:
        """Mask a log line, as a structlog processor: the last one before the renderer, after exceptions are text."""
        for key, value in event.items():
            event[key] = self._under(key, value)
        return event

    def _under(self, key: object, value: Any) -> Any:
        return MASK if isinstance(key, str) and _NAMED.search(key) else self.deep(value)


def secrets_in(model: BaseModel) -> tuple[str, ...]:
    """Every secret value a settings model holds, however deep."""
    return tuple(_secrets_in(model))


def _secrets_in(model: BaseModel) -> Iterator[str]:
    for name in type(model).model_fields:
        value = getattr(model, name)
        if isinstance(value, SecretStr):
            yield value.get_secret_value()
        elif isinstance(value, BaseModel):
            yield from _secrets_in(value)


def _parts(secret: str) -> Iterator[str]:
    """What must not be seen of one configured secret: all of it, each of several, and what a URL carries."""
    if "://" not in secret:
        yield from (part for part in {secret, *_separate(secret)} if len(part) >= _SHORTEST_SECRET)
        return
    # A database may have several hosts, its password commas; of webhooks there are several.
    is_database = secret.partition("://")[0] in _DATABASES
    for url in [secret] if is_database else _separate(secret):
        yield from _parts_of_url(url)


def _separate(text: str) -> list[str]:
    return [part.strip() for part in text.split(",") if part.strip()]


def _parts_of_url(url: str) -> Iterator[str]:
    """A database is named in logs by its file, host and name; a webhook only by its endpoint's name."""
    try:
        parts = urlsplit(url)
    except ValueError:
        yield url
        return
    if parts.password and len(parts.password) >= _SHORTEST_SECRET:
        yield parts.password
    if parts.scheme in _DATABASES:
        yield from (value for name, value in parse_qsl(parts.query) if _NAMED.search(name))
        return
    yield url
    # Outside http the host may be a token: `ntfy://topic`, `tgram://token/chat`.
    places = parts.path.split("/") + ([] if parts.scheme in {"http", "https"} else [parts.netloc])
    yield from (part for part in places if len(part) >= _LONG_URL_PART)
    yield from (value for _, value in parse_qsl(parts.query) if len(value) >= _SHORTEST_URL_PART)


_DATABASES: Final = frozenset({"sqlite", "postgres", "postgresql"})


def _spellings(secret: str) -> set[str]:
    """How a secret may come back: as it is, percent-encoded, decoded, inside JSON."""
    return {secret, quote(secret), quote(secret, safe=""), unquote(secret), json.dumps(secret)[1:-1]}
