"""One redactor at the boundary: no secret leaves in a log line, a stored text or an answer."""

import json
import re
from collections.abc import Iterable, MutableMapping
from typing import Any, Final
from urllib.parse import parse_qsl, quote, unquote, urlsplit

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
_SHORTEST_SECRET: Final = 6
_LONG_PATH_PART: Final = 16


class Redactor:
    """Masks the configured secrets and everything that looks like a webhook URL.

    secrets: texts such as a signing secret, an API key, a password. urls: webhook URLs, of which the whole, the
    query values, a password and long parts of the path are masked.
    """

    def __init__(self, secrets: Iterable[str] = (), *, urls: Iterable[str] = ()) -> None:
        known = {secret for secret in secrets if len(secret) >= _SHORTEST_SECRET}
        for url in urls:
            known |= _secrets_of(url)
        spelled = {form for secret in known for form in _spellings(secret)}
        # Longest first: a secret that begins like another is masked whole.
        exact = [re.escape(secret) for secret in sorted(spelled, key=lambda text: (-len(text), text))]
        self._pattern = re.compile("|".join([*exact, *_SHAPES]))

    def __call__(self, text: str) -> str:
        """The text with every secret masked."""
        return self._pattern.sub(MASK, text)

    def deep(self, value: Any) -> Any:
        """The value with every text in it masked; what is no JSON type is masked as its repr where that holds a secret."""
        if isinstance(value, str):
            return self(value)
        if isinstance(value, dict):
            return {self.deep(key): self.deep(item) for key, item in value.items()}
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
            event[key] = self.deep(value)
        return event


def _secrets_of(url: str) -> set[str]:
    parts = urlsplit(url)
    found = {url, parts.password or "", *(value for _, value in parse_qsl(parts.query))}
    found |= {part for part in parts.path.split("/") if len(part) >= _LONG_PATH_PART}
    return {text for text in found if len(text) >= _SHORTEST_SECRET}


def _spellings(secret: str) -> set[str]:
    """How a secret may come back: as it is, percent-encoded, decoded, inside JSON."""
    return {secret, quote(secret), quote(secret, safe=""), unquote(secret), json.dumps(secret)[1:-1]}
