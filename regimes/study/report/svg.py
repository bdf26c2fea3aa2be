"""Charts as inline SVG: a plot area with time along the bottom, and what is drawn into it.

Colours are classes, so that one file is right in the dark, in the light and on paper.
"""

from collections.abc import Iterable, Sequence
from datetime import UTC, datetime
from html import escape
from math import floor, isfinite, log10
from typing import Final

import msgspec

from regimes.timeframe import DAY_MS, HOUR_MS

WIDTH: Final = 960
LEFT: Final = 64
RIGHT: Final = 12
TOP: Final = 8
BOTTOM: Final = 22
_STEPS_MS: Final = (
    HOUR_MS,
    3 * HOUR_MS,
    6 * HOUR_MS,
    12 * HOUR_MS,
    DAY_MS,
    2 * DAY_MS,
    7 * DAY_MS,
    14 * DAY_MS,
    30 * DAY_MS,
    90 * DAY_MS,
    365 * DAY_MS,
)
_MOST_TIME_TICKS: Final = 10


class Plot(msgspec.Struct, frozen=True):
    """Maps time and values to places in a drawing. low, high: bounds of the values; is_log: powers are equally far apart."""

    from_ms: int
    to_ms: int
    low: float
    high: float
    height: int
    is_log: bool = False

    def x(self, ts_ms: float) -> float:
        """Where a time lies, kept inside the plot."""
        share = (ts_ms - self.from_ms) / max(self.to_ms - self.from_ms, 1)
        return LEFT + min(max(share, 0.0), 1.0) * (WIDTH - LEFT - RIGHT)

    def y(self, value: float) -> float:
        """Where a value lies."""
        low, high, at = (
            (log10(v) for v in (self.low, self.high, value)) if self.is_log else (self.low, self.high, value)
        )
        share = (at - low) / (high - low) if high > low else 0.5
        return TOP + (1 - min(max(share, 0.0), 1.0)) * self.floor_height

    @property
    def floor_height(self) -> float:
        """How high the plot is without its margins."""
        return self.height - TOP - BOTTOM

    @property
    def floor(self) -> float:
        """The lower edge."""
        return self.height - BOTTOM


def drawing(height: int, title: str, *parts: Iterable[str], width: int = WIDTH) -> str:
    """Put parts into one drawing. title: what a screen reader says of it."""
    inner = "".join(piece for part in parts for piece in part)
    return (
        f'<svg viewBox="0 0 {width} {height}" role="img" aria-label="{escape(title)}" xmlns="http://www.w3.org/2000/svg">'
        f"<title>{escape(title)}</title>{inner}</svg>"
    )


def time_axis(plot: Plot) -> list[str]:
    """Lines and labels at round times."""
    parts = []
    for ts_ms, words in time_labels(plot):
        x = plot.x(ts_ms)
        parts.append(rule(x, TOP, x, plot.floor, "grid"))
        if LEFT + 14 < x < WIDTH - 24:
            parts.append(text(x, plot.height - 6, words, "tick", anchor="middle"))
    return parts


def time_labels(plot: Plot) -> list[tuple[int, str]]:
    """Round times of the span, and how they are written."""
    step = next((s for s in _STEPS_MS if (plot.to_ms - plot.from_ms) / s <= _MOST_TIME_TICKS), _STEPS_MS[-1])
    first = -(-plot.from_ms // step) * step
    return [(ts_ms, _time(ts_ms, step)) for ts_ms in range(first, plot.to_ms + 1, step)]


def value_axis(plot: Plot, say: str = "{:,.6g}", count: int = 4) -> list[str]:
    """Lines and labels at round values. say: format of a label."""
    parts = []
    for value in round_values(plot.low, plot.high, count):
        y = plot.y(value)
        parts += [
            rule(LEFT, y, WIDTH - RIGHT, y, "grid"),
            text(LEFT - 6, y + 4, say.format(value), "tick", anchor="end"),
        ]
    return parts


def round_values(low: float, high: float, count: int) -> list[float]:
    """Some round values between two.

    >>> round_values(0.0, 10.0, 4)
    [0.0, 2.5, 5.0, 7.5, 10.0]
    """
    if not (isfinite(low) and isfinite(high)) or high <= low:
        return [low] if isfinite(low) else []
    raw = (high - low) / count
    power = 10.0 ** floor(log10(raw))
    step = next(m * power for m in (1, 2, 2.5, 5, 10) if m * power >= raw * 0.999)
    first = -(-low // step)
    values = [(first + n) * step for n in range(count + 3)]
    return [round(value, 12) for value in values if value <= high * (1 + 1e-9) + 1e-12]


def line(plot: Plot, points: Iterable[tuple[float, float]], style: str) -> list[str]:
    """A line through points of time and value; it is broken where a value is not known."""
    path, pen = [], "M"
    for ts_ms, value in points:
        if not isfinite(value):
            pen = "M"
            continue
        path.append(f"{pen}{plot.x(ts_ms):.1f} {plot.y(value):.1f}")
        pen = "L"
    return [f'<path class="{style}" d="{"".join(path)}"/>'] if path else []


def band(plot: Plot, from_ms: float, to_ms: float, style: str, title: str = "") -> str:
    """A span of time over the whole height."""
    return box(plot.x(from_ms), TOP, plot.x(to_ms) - plot.x(from_ms), plot.floor_height, style, title)


def bar(
    plot: Plot, from_ms: float, to_ms: float, base: float, value: float, style: str, title: str = ""
) -> str:
    """A bar from one value to another."""
    upper, lower = sorted((plot.y(value), plot.y(base)))
    width = max(plot.x(to_ms) - plot.x(from_ms) - 0.5, 0.8)
    return box(plot.x(from_ms), upper, width, lower - upper, style, title)


def box(x: float, y: float, width: float, height: float, style: str, title: str = "") -> str:
    """A rectangle; title: what it says when pointed at."""
    shape = f'x="{x:.1f}" y="{y:.1f}" width="{max(width, 0):.1f}" height="{max(height, 0):.1f}"'
    told = f"<title>{escape(title)}</title>" if title else ""
    return f'<rect class="{style}" {shape}>{told}</rect>'


def dot(x: float, y: float, style: str, title: str = "", radius: float = 3.5) -> str:
    """A dot."""
    told = f"<title>{escape(title)}</title>" if title else ""
    return f'<circle class="{style}" cx="{x:.1f}" cy="{y:.1f}" r="{radius}">{told}</circle>'


def text(x: float, y: float, words: str, style: str, anchor: str = "start") -> str:
    """Some words."""
    return f'<text class="{style}" x="{x:.1f}" y="{y:.1f}" text-anchor="{anchor}">{escape(words)}</text>'


def rule(x_from: float, y_from: float, x_to: float, y_to: float, style: str) -> str:
    """A straight line between two places."""
    return f'<line class="{style}" x1="{x_from:.1f}" y1="{y_from:.1f}" x2="{x_to:.1f}" y2="{y_to:.1f}"/>'


def bounds(values: Sequence[float], margin: float = 0.04) -> tuple[float, float]:
    """The least and the greatest known value, a little apart; 0 and 1 where none is known."""
    known = [value for value in values if isfinite(value)]
    if not known:
        return 0.0, 1.0
    low, high = min(known), max(known)
    room = (high - low) * margin or abs(high) * margin or 1.0
    return low - room, high + room


def _time(ts_ms: int, step_ms: int) -> str:
    moment = datetime.fromtimestamp(ts_ms / 1000, tz=UTC)
    if step_ms >= 30 * DAY_MS:
        return moment.strftime("%Y-%m")
    if step_ms >= DAY_MS or ts_ms % DAY_MS == 0:
        return moment.strftime("%b %d")
    return moment.strftime("%H:%M")
