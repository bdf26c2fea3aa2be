"""Plain text made safe and short for receivers that count and escape each in their own way."""

import unicodedata
from collections.abc import Callable, Iterable, Iterator
from ipaddress import ip_address
from typing import Final, TypeAlias

from yarl import URL

from regimes import wording
from regimes.alerting.message import Message
from regimes.events import Phase, Severity

Escape: TypeAlias = Callable[[str], Iterable[str]]
ELLIPSIS: Final = "…"
_KEPT_CONTROLS: Final = frozenset("\n")
_INVISIBLE: Final = frozenset({"Cc", "Cf", "Cs", "Zl", "Zp", "Zs"})
# Marks that turn the direction of what follows, with which a name can be made to read as another.
_TURNS_TEXT: Final = frozenset("\u202a\u202b\u202c\u202d\u202e\u2066\u2067\u2068\u2069")
_ENDS_A_LINK: Final = frozenset("()<>[]|\"'`\\ *_~")
_MARKS: Final = {Severity.INFO: "🔵", Severity.WARNING: "🟠", Severity.CRITICAL: "🔴"}


def utf16_units(text: str) -> int:
    """Length as Telegram and JavaScript count it: characters beyond U+FFFF are two."""
    return len(text) + sum(1 for char in text if char > "\uffff")


def clean(text: str) -> str:
    """Text any receiver takes: no lone surrogates, no control characters but line ends, nothing blank at the ends.

    What shows nothing at all becomes empty, so that a caller can put something in its place.
    """
    kept = "".join(_cleaned(char) for char in text)
    if all(unicodedata.category(char) in _INVISIBLE for char in kept):
        return ""
    return kept.strip()


def _cleaned(char: str) -> str:
    if (char.isascii() and char.isprintable()) or char in _KEPT_CONTROLS:
        return char
    category = unicodedata.category(char)
    if char in _TURNS_TEXT:
        return ""
    if category == "Cs":
        return "\N{REPLACEMENT CHARACTER}"
    return " " if category in {"Cc", "Zl", "Zp"} else char


def fit(text: str, units: int, escape: Escape = list) -> str:
    """Escape, and cut so that no more than `units` UTF-16 units come out.

    escape: gives each character of the text as the receiver wants it. The cut falls between two characters, never
    inside an escape.
    """
    pieces = list(escape(text))
    sizes = [utf16_units(piece) for piece in pieces]
    if sum(sizes) <= units:
        return "".join(pieces)
    return "".join(_within(pieces, sizes, units - len(ELLIPSIS))).rstrip() + ELLIPSIS if units > 0 else ""


def _within(pieces: list[str], sizes: list[int], units: int) -> Iterator[str]:
    used = 0
    for piece, size in zip(pieces, sizes, strict=True):
        used += size
        if used > units:
            return
        yield piece


def headline(message: Message) -> str:
    """Title with what the eye looks for first: how bad, whether it is over, whether it is only a test."""
    mark = "✅" if message.phase is Phase.CLOSED else _MARKS[message.severity]
    test = "TEST " if message.is_test else ""
    return f"{mark} {test}{clean(message.title) or clean(message.symbol) or 'Alert'}"


def notes(message: Message) -> list[str]:
    """Lines beneath the facts: why, how late, how many more."""
    lines = []
    if why := clean(message.why):
        lines.append(f"Why: {why}")
    if message.reminder:
        lines.append("Reminder: it is still going on.")
    if message.suppressed:
        lines.append(f"Stands for {wording.count(message.suppressed, 'more event')}.")
    if message.late_ms is not None:
        lines.append(f"Sent {wording.duration(message.late_ms)} late.")
    if message.is_test:
        lines.append("This is a test; nothing happened in the market.")
    return lines


def facts(message: Message) -> list[tuple[str, str]]:
    """Label and value of each fact, neither of them blank."""
    pairs = ((clean(fact.label), clean(fact.value)) for fact in message.facts)
    return [(label or "-", value or "-") for label, value in pairs]


def links(message: Message) -> list[tuple[str, str]]:
    """Label and address of each link that can stand in markup: http(s) only, no sign that would end it early."""
    safe = ((clean(link.label) or "Link", _safe_url(link.url)) for link in message.links)
    return [(label, url) for label, url in safe if url is not None]


def _safe_url(text: str) -> str | None:
    try:
        url = URL(text.encode("utf-8", "replace").decode())
    except ValueError:
        return None
    if url.scheme not in {"http", "https"} or not url.host:
        return None
    return "".join(f"%{ord(char):02X}" if char in _ENDS_A_LINK else char for char in str(url.with_user(None)))


def is_open_to_phones(url: str) -> bool:
    """Whether a phone elsewhere could open it: no loopback address, no name of this machine or network alone."""
    host = URL(url).host or ""
    try:
        address = ip_address(host)
    except ValueError:
        return "." in host.rstrip(".") and not host.endswith((".localhost", ".local", ".internal"))
    return not (address.is_loopback or address.is_unspecified)


def status_line(message: Message) -> str:
    """Severity, phase, symbol and id, for the foot of a message."""
    return " · ".join(
        part
        for part in (message.severity.name, message.phase.value, clean(message.symbol), message.event_id)
        if part
    )
