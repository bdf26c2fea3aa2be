"""Whether a rewritten paragraph says nothing that the first one does not: numbers, names, claims, form."""

import re
import unicodedata
from collections.abc import Iterator, Mapping
from decimal import Decimal
from enum import StrEnum
from typing import Final

import msgspec

LONGEST_RATIO: Final = 1.6
LONGEST_MORE: Final = 160
_NUMBER: Final = re.compile(
    r"(?P<sign>[-+]?)(?P<digits>\d[\d,]*(?:\.\d+)?)[ -]?"
    r"(?P<unit>%|(?:per ?cent|times|thousand|million|billion|hours?|days?|[kmbxhd])(?![a-z]))?",
    re.IGNORECASE,
)
_SCALES: Final = {
    "k": 1_000,
    "thousand": 1_000,
    "m": 1_000_000,
    "million": 1_000_000,
    "b": 1_000_000_000,
    "billion": 1_000_000_000,
}
_KINDS: Final = {
    "%": "%",
    "percent": "%",
    "per cent": "%",
    "x": "x",
    "times": "x",
    "h": "h",
    "hour": "h",
    "hours": "h",
    "d": "d",
    "day": "d",
    "days": "d",
}
_ONES: Final = [
    "one",
    "two",
    "three",
    "four",
    "five",
    "six",
    "seven",
    "eight",
    "nine",
    "ten",
    "eleven",
    "twelve",
]
_IN_WORDS: Final[Mapping[str, int | None]] = {
    **{word: value for value, word in enumerate(_ONES, start=1)},
    **dict.fromkeys(
        [
            "thirteen",
            "fourteen",
            "fifteen",
            "sixteen",
            "seventeen",
            "eighteen",
            "nineteen",
            "twenty",
            "thirty",
            "forty",
            "fifty",
            "sixty",
            "seventy",
            "eighty",
            "ninety",
            "hundred",
            "hundreds",
            "thousand",
            "thousands",
            "million",
            "millions",
            "billion",
            "billions",
            "trillion",
            "dozen",
            "dozens",
            "half",
            "halves",
            "halved",
            "quarter",
            "quarters",
            "third",
            "thirds",
            "fourth",
            "fifth",
            "double",
            "doubled",
            "doubling",
            "triple",
            "tripled",
            "quadruple",
            "twice",
            "thrice",
            "twofold",
            "threefold",
            "tenfold",
            "zero",
        ]
    ),
}
_CLAIMS: Final = frozenset(
    [
        "buy",
        "sell",
        "hold",
        "should",
        "must",
        "recommend",
        "recommended",
        "advise",
        "advice",
        "guarantee",
        "guaranteed",
        "will",
        "expect",
        "expected",
        "likely",
        "unlikely",
        "predict",
        "predicts",
        "forecast",
        "target",
        "because",
        "due",
        "caused",
        "bullish",
        "bearish",
        "opportunity",
    ]
)
"""Advice, forecasts and causes: never in the facts, so never in the words, unless the first text has them."""
_FORBIDDEN: Final = re.compile(r"https?|www\.|://|[<>\[\]{}|`@#*~\\$€£]", re.IGNORECASE)
_WORD: Final = re.compile(r"[A-Za-z][A-Za-z_]*")
_MARK: Final = re.compile(r"ASSET_[A-Z]+")


class Fault(StrEnum):
    """Why a rewritten paragraph is not used."""

    NUMBERS = "refused_numbers"
    WORDS = "refused_words"
    FORM = "refused_form"


class Amount(msgspec.Struct, frozen=True):
    """A number in a text: its sign if it has one, its size, and %, x, h or d where that follows."""

    sign: str
    size: Decimal
    kind: str


def fault(text: str, facts: str) -> Fault | None:
    """What is wrong with a rewriting of `facts`; None when nothing is."""
    if not _has_form(text, facts):
        return Fault.FORM
    if any(not _is_found(amount, set(amounts(facts))) for amount in amounts(text)) or _invented(text, facts):
        return Fault.NUMBERS
    return None if _has_known_words(text, facts) else Fault.WORDS


def amounts(text: str) -> Iterator[Amount]:
    """Every number of a text that is written in digits."""
    for found in _NUMBER.finditer(_plain(text)):
        unit = (found["unit"] or "").lower()
        size = Decimal(found["digits"].replace(",", "")) * _SCALES.get(unit, 1)
        yield Amount(found["sign"], size.normalize(), _KINDS.get(unit, ""))


def _is_found(amount: Amount, known: set[Amount]) -> bool:
    """Whether the facts have it: a sign or a unit may be left unsaid, but not be another one."""
    return any(
        amount.size == fact.size
        and amount.kind in {"", fact.kind}
        and (amount.sign in {"", fact.sign} or (amount.sign == "+" and not fact.sign))
        for fact in known
    )


def _invented(text: str, facts: str) -> bool:
    """Whether a number in words, or in signs other than digits, stands in the text and not in the facts."""
    if any(unicodedata.category(char) in {"Nd", "Nl", "No"} and not char.isascii() for char in text):
        return True
    known, values = set(_words(facts)), {amount.size for amount in amounts(facts)}
    for word in set(_words(text)) & _IN_WORDS.keys() - known:
        if not _follows_a_number(word, text) and _IN_WORDS[word] not in values:
            return True
    return False


def _follows_a_number(word: str, text: str) -> bool:
    """Whether a word is only ever the unit of a number, which is judged with it."""
    every = len(re.findall(rf"\b{word}\b", text, re.IGNORECASE))
    return len(re.findall(rf"\d[ -]?{word}\b", text, re.IGNORECASE)) == every


def _has_form(text: str, facts: str) -> bool:
    if not 1 <= len(text) <= LONGEST_RATIO * len(facts) + LONGEST_MORE:
        return False
    if not text.isprintable() or _FORBIDDEN.search(text):
        return False
    wanted, there = set(_MARK.findall(facts)), set(_MARK.findall(text))
    return there <= wanted and set(_MARK.findall(facts)[:1]) <= there


def _has_known_words(text: str, facts: str) -> bool:
    """No advice, and no name that the facts do not have: a name is a capital letter inside a sentence."""
    known = set(_words(facts))
    if set(_words(text)) & _CLAIMS - known:
        return False
    names = (found for found in _WORD.finditer(text) if found[0][0].isupper())
    return all(
        found[0].lower() in known or (_begins_sentence(text, found.start()) and not found[0][1:2].isupper())
        for found in names
    )


def _begins_sentence(text: str, place: int) -> bool:
    before = text[:place].rstrip()
    return not before or before[-1] in ".:;!?"


def _words(text: str) -> list[str]:
    return [word.lower() for word in _WORD.findall(text)]


def _plain(text: str) -> str:
    """With one kind of minus and of space."""
    return re.sub(r"[\u00a0\u202f\u2009]", " ", text.replace("\u2212", "-"))
