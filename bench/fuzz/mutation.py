"""Breaks good input in the ways that the world does, and in some that it does not."""

import random
from collections.abc import Callable, Sequence
from copy import deepcopy
from typing import Any, Final

import msgspec

ODD: Final[Sequence[Any]] = (
    *(
        None,
        True,
        False,
        0,
        -1,
        1,
        2**31,
        2**53,
        2**63 - 1,
        -(2**63),
        1e308,
        -1e-308,
        0.1,
        "",
        " ",
        "0",
        "-0",
        "1e400",
    ),
    *(
        "NaN",
        "Infinity",
        "-1",
        "1e15",
        "0x10",
        "\uff11",
        "1_000",
        "1,5",
        "9" * 400,
        "\x00",
        "\ud7ff",
        "<img src=x>",
        "BTCUSDT",
    ),
    *([], {}, [[]], {"e": "forceOrder"}, ["1", "2"]),
)
_WORDS: Final = (
    b'"',
    b"{",
    b"}",
    b"[",
    b"]",
    b",",
    b":",
    b"\\u0000",
    b"\xff",
    b"\x00",
    b"null",
    b"NaN",
    b"1e999",
    b"-",
)
_DEEPEST: Final = 40
_LARGE: Final = 4096


class Mutator:
    """Draws broken input from good samples; the same seed gives the same."""

    def __init__(self, samples: Sequence[bytes], seed: int, *, structured: bool) -> None:
        self.chance = random.Random(seed)
        self._samples = samples
        self._structured = structured
        self._bytewise: Sequence[Callable[[bytearray], None]] = (
            self._digits,
            self._digits,
            self._flip,
            self._cut,
            self._insert,
            self._repeat,
            self._splice,
        )

    def draw(self) -> bytes:
        """One more input."""
        sample = self.chance.choice(self._samples)
        if self._structured and self.chance.random() < 0.7:
            sample = self._restructured(sample)
            if self.chance.random() < 0.8:
                return sample
        data = bytearray(sample)
        for _ in range(self.chance.choice((1, 1, 1, 2, 3, 8))):
            self.chance.choice(self._bytewise)(data)
        return bytes(data)

    def _restructured(self, sample: bytes) -> bytes:
        """Still JSON, but another tree."""
        root = [msgspec.json.decode(sample)]
        for _ in range(self.chance.choice((1, 1, 2, 4))):
            self._change(*self._place(root))
            if len(changed := msgspec.json.encode(root[0])) > _LARGE:
                break
        return changed

    def _place(self, root: list[Any]) -> tuple[Any, Any]:
        """A container and a key in it."""
        holder: Any = root
        key: Any = 0
        for _ in range(_DEEPEST):
            inner = holder[key]
            if not isinstance(inner, dict | list) or not inner or self.chance.random() < 0.2:
                break
            holder, key = (
                inner,
                self.chance.choice(list(inner) if isinstance(inner, dict) else range(len(inner))),
            )
        return holder, key

    def _change(self, holder: Any, key: Any) -> None:
        match self.chance.randrange(5):
            case 0 if isinstance(holder, dict):
                del holder[key]
            case 1 if isinstance(holder, dict):
                holder[self.chance.choice(list(holder))] = holder[key]
            case 2:
                holder[key] = [holder[key]] * self.chance.choice((1, 2, 50))
            case 3 if isinstance(holder[key], str):
                holder[key] = holder[key] * self.chance.choice((2, 100)) if holder[key] else "0"
            case _:
                holder[key] = deepcopy(self.chance.choice(ODD))

    def _digits(self, data: bytearray) -> None:
        """Other numbers of the same length: often still good input."""
        places = [place for place, byte in enumerate(data) if 48 <= byte <= 57]
        for place in self.chance.sample(places, min(len(places), 4)):
            data[place] = self.chance.randrange(48, 58)

    def _flip(self, data: bytearray) -> None:
        if data:
            data[self.chance.randrange(len(data))] ^= 1 << self.chance.randrange(8)

    def _cut(self, data: bytearray) -> None:
        start = self.chance.randrange(len(data) + 1)
        del data[start : start + self.chance.choice((1, 4, 64, len(data)))]

    def _insert(self, data: bytearray) -> None:
        start = self.chance.randrange(len(data) + 1)
        data[start:start] = self.chance.choice((*_WORDS, self.chance.randbytes(4)))

    def _repeat(self, data: bytearray) -> None:
        start = self.chance.randrange(len(data) + 1)
        data[start:start] = data[start : start + self.chance.choice((1, 8, 64))] * self.chance.choice((1, 3))

    def _splice(self, data: bytearray) -> None:
        other = self.chance.choice(self._samples)
        start = self.chance.randrange(len(data) + 1)
        data[start:] = other[self.chance.randrange(len(other) + 1) :]
