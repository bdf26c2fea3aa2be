"""State in pieces that are packed once and then kept, so that saving again costs what has changed."""

from collections.abc import Mapping
from typing import Any, Final

import msgspec

_encode: Final = msgspec.msgpack.Encoder().encode


class Pieces(dict[str, msgspec.Raw]):
    """Packed values by name. One that has changed is another object than before, so a look at each tells whether any has."""


def packed(value: Any) -> msgspec.Raw:
    """A piece."""
    return msgspec.Raw(_encode(value))


def unpacked(piece: Any) -> Any:
    """What a piece holds; in a snapshot that was unpacked as a whole it is that already."""
    return msgspec.msgpack.decode(piece) if isinstance(piece, msgspec.Raw) else piece


class Packer:
    """Packs the parts of a state by name; `Pieces` that are all the same as the last time keep their bytes."""

    def __init__(self) -> None:
        self._known: dict[str, tuple[Pieces, bytes]] = {}

    def pack(self, state: Mapping[str, Any]) -> dict[str, bytes]:
        """Each part by itself."""
        return {
            name: self._pieces(name, value) if isinstance(value, Pieces) else _encode(value)
            for name, value in state.items()
        }

    def _pieces(self, name: str, pieces: Pieces) -> bytes:
        before, body = self._known.get(name, (None, b""))
        if before is None or not _are_same(before, pieces):
            body = _encode(pieces)
            self._known[name] = pieces, body
        return body


def _are_same(before: Pieces, now: Pieces) -> bool:
    return len(before) == len(now) and all(before.get(name) is piece for name, piece in now.items())
