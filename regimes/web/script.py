"""Scripts as they are sent: without comments and indentation, which are a tenth of their bytes.

Reads the text as JavaScript does, token by token, so that what looks like a comment inside a string, a template or a
regular expression stays. Where a slash could be either a division or the beginning of a regular expression it gives
up, and the script is sent as it is.
"""

import re
from typing import Final

_TOKEN: Final = re.compile(
    r"""
    (?P<space>\s+) | (?P<comment>//[^\n]*|/\*.*?\*/)
    | (?P<text>"(?:[^"\\\n]|\\.)*"|'(?:[^'\\\n]|\\.)*')
    | (?P<word>[\w$#]+) | (?P<mark>[^"'])
    """,
    re.VERBOSE | re.DOTALL,
)
_TEMPLATE: Final = re.compile(r"(?:[^`\\$]|\\.|\$(?!\{))*(?:`|\$\{)", re.DOTALL)
_PATTERN: Final = re.compile(r"/(?:[^/\\\[\n]|\\.|\[(?:[^\]\\\n]|\\.)*\])+/[a-z]*")
_BEFORE_PATTERN: Final = frozenset(
    {"return", "typeof", "case", "in", "of", "delete", "void", "throw", "new", "do", "else", "await", "yield"}
)


class UnclearError(ValueError):
    """The text could be read in two ways."""


def shortened(source: str) -> str:
    """The same program; each statement stays in its line. Raises UnclearError."""
    return "".join(_Reader(source).parts())


class _Reader:
    """before: the last token that means something. depths: of open templates, how many braces are open in each."""

    def __init__(self, source: str) -> None:
        self._source = source
        self._at = 0
        self._before = ""
        self._depths: list[int] = []

    def parts(self) -> list[str]:
        """What is kept, in order."""
        found: list[str] = []
        while self._at < len(self._source):
            found.append(self._next())
        if self._depths:
            raise UnclearError("a template does not end")
        return found

    def _next(self) -> str:
        token = _TOKEN.match(self._source, self._at)
        if token is None:
            raise UnclearError(f"a string does not end, at character {self._at}")
        kind, text = token.lastgroup, token[0]
        if kind in {"space", "comment"}:
            self._at = token.end()
            return "\n" * text.count("\n") or (" " if kind == "space" or text.startswith("/*") else "")
        if text == "/" and self._begins_pattern():
            return self._whole(_PATTERN, "a regular expression")
        if text == "`" or (text == "}" and self._depths and self._depths[-1] == 0):
            return self._template(text)
        if self._depths and text in "{}":
            self._depths[-1] += 1 if text == "{" else -1
        self._at, self._before = token.end(), text
        return text

    def _begins_pattern(self) -> bool:
        """A slash divides what is a value before it. Raises UnclearError after what may be a value or not."""
        if self._before in {")", "}"}:
            if self._source[self._at + 1 : self._at + 2] == " " and self._before == ")":
                return False
            raise UnclearError(f"a slash after {self._before!r}, at character {self._at}")
        if self._before in {"+", "-"} and self._source[: self._at].rstrip()[-2:] in {"++", "--"}:
            raise UnclearError(f"a slash after {self._before * 2}, at character {self._at}")
        is_value = self._before == "]" or re.fullmatch(r"[\w$#]+|[\"'`].*", self._before, re.DOTALL)
        return not is_value or self._before in _BEFORE_PATTERN

    def _template(self, opening: str) -> str:
        """Text of a template up to its end, or to the expression in it, which is code again."""
        if opening == "}":
            self._depths.pop()
        self._at += 1
        text = opening + self._whole(_TEMPLATE, "a template")
        if text.endswith("${"):
            self._depths.append(0)
            self._before = "{"
        return text

    def _whole(self, pattern: re.Pattern[str], what: str) -> str:
        found = pattern.match(self._source, self._at)
        if found is None:
            raise UnclearError(f"{what} does not end, at character {self._at}")
        self._at, self._before = found.end(), "`"
        return found[0]
