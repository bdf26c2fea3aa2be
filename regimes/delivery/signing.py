"""Signatures after Standard Webhooks (standardwebhooks.com): symmetric, version 1."""

import base64
import binascii
import hashlib
import hmac
from collections.abc import Mapping, Sequence
from typing import Final

from regimes.errors import ConfigError, RegimesError

PREFIX: Final = "whsec_"
TOLERANCE_S: Final = 300
_SHORTEST_KEY_BYTES: Final = 16


class SignatureError(RegimesError):
    """A webhook is not from who it says, or not from now. The text says which, never the right signature."""


def parse_secrets(text: str, *, name: str = "WEBHOOK_SECRET") -> tuple[bytes, ...]:
    """Read one secret, or two while they are rotated: the new one, a comma, the old one.

    Raises ConfigError, which names `name` and the rule and never the secret.
    """
    keys = tuple(_parse_secret(part.strip(), name) for part in text.split(",") if part.strip())
    if len(keys) > 2:
        raise ConfigError(
            f"{name}: {len(keys)} secrets given, at most 2 can be in use: the new one, then the old one"
        )
    return keys


def _parse_secret(text: str, name: str) -> bytes:
    try:
        key = decode_secret(text)
    except ValueError:
        raise ConfigError(
            f"{name}: must be {PREFIX}<base64>, as `openssl rand -base64 24` makes it"
        ) from None
    if len(key) < _SHORTEST_KEY_BYTES:
        raise ConfigError(
            f"{name}: must hold at least {_SHORTEST_KEY_BYTES} bytes (got {len(key)}): make a longer one"
        )
    return key


def decode_secret(text: str) -> bytes:
    """Bytes of a secret `whsec_<base64>`; prefix and padding may be missing. Raises ValueError."""
    encoded = text.removeprefix(PREFIX)
    return base64.b64decode(encoded + "=" * (-len(encoded) % 4), validate=True)


def sign(secrets: Sequence[bytes], *, message_id: str, timestamp_s: int, body: bytes) -> str:
    """Header `webhook-signature`: one signature for each secret, the current one first.

    message_id: must hold no dot, since a dot ends it in what is signed. body: the very bytes that are sent.
    """
    if "." in message_id:
        raise ValueError("a webhook-id must not hold a dot")
    return " ".join(f"v1,{_mac(secret, message_id, str(timestamp_s), body)}" for secret in secrets)


def headers(secrets: Sequence[bytes], *, message_id: str, timestamp_s: int, body: bytes) -> dict[str, str]:
    """The three headers of a signed webhook; without a secret only id and timestamp."""
    plain = {"webhook-id": message_id, "webhook-timestamp": str(timestamp_s)}
    if not secrets:
        return plain
    signature = sign(secrets, message_id=message_id, timestamp_s=timestamp_s, body=body)
    return {**plain, "webhook-signature": signature}


def verify(
    secrets: Sequence[bytes],
    headers: Mapping[str, str],
    body: bytes,
    *,
    now_s: float,
    tolerance_s: float = TOLERANCE_S,
) -> None:
    """Raise SignatureError unless one of the secrets signed this body, no longer than `tolerance_s` ago.

    headers: with lower-case names. Signatures of other versions are passed over.
    """
    try:
        message_id, timestamp = headers["webhook-id"], headers["webhook-timestamp"]
        candidates = headers["webhook-signature"].split(" ")
    except KeyError as error:
        raise SignatureError(f"header {error.args[0]} is missing") from None
    if not timestamp.isascii() or not timestamp.isdigit():
        raise SignatureError("webhook-timestamp is not a number of seconds")
    if abs(now_s - int(timestamp)) > tolerance_s:
        raise SignatureError(f"webhook-timestamp is more than {tolerance_s:.0f} s from now")
    given = [signature for version, _, signature in (c.partition(",") for c in candidates) if version == "v1"]
    for secret in secrets:
        expected = _mac(secret, message_id, timestamp, body).encode()
        if any(hmac.compare_digest(expected, signature.encode("utf-8", "replace")) for signature in given):
            return
    raise SignatureError("no signature matches")


def _mac(secret: bytes, message_id: str, timestamp: str, body: bytes) -> str:
    signed = f"{message_id}.{timestamp}.".encode() + body
    return binascii.b2a_base64(hmac.digest(secret, signed, hashlib.sha256), newline=False).decode()
