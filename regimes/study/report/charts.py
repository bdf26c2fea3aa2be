"""The drawings of a report."""

from collections.abc import Callable, Iterable, Sequence
from itertools import accumulate
from math import isfinite
from typing import Final

from regimes.alerting.track_record import POOLED, VOLATILITY, Effect, Group, ScoreTable
from regimes.events import Severity, iso_utc
from regimes.study.report import svg
from regimes.study.report.model import Episode, Gap, Load, Report, Stretch, SymbolView
from regimes.study.report.svg import Plot
from regimes.timeframe import HOUR_MS
from regimes.wording import duration, price, usd

_ROW: Final = 18
_PRICE_HEIGHT: Final = 240
_BARS_SHARE: Final = 0.22
_SCORE_H: Final = 24
_SCORE_LEFT: Final = 300


def ribbon(report: Report) -> str:
    """The state of the market as one band."""
    plot = Plot(report.from_ms, report.to_ms, 0, 1, 64)
    bands = (svg.band(plot, s.from_ms, s.to_ms, f"state-{s.state.lower()}", _told(s)) for s in report.market)
    return svg.drawing(plot.height, "State of the market over time", svg.time_axis(plot), bands)


def prices(report: Report, view: SymbolView, told: Sequence[Episode]) -> str:
    """A symbol's price over its volatility states, with what was liquidated below and events as marks."""
    known = [value for value in view.close if value is not None]
    low, high = svg.bounds(known)
    # Room below the line for the bars.
    plot = Plot(report.from_ms, report.to_ms, low - (high - low) * _BARS_SHARE, high, _PRICE_HEIGHT)
    bands = [svg.band(plot, s.from_ms, s.to_ms, f"vol-{s.state.lower()}", _told(s)) for s in view.states]
    # A bar's close is known when it ends.
    ends = [hour + HOUR_MS for hour in view.hours_ms]
    points = [(ts, float("nan") if v is None else v) for ts, v in zip(ends, view.close, strict=True)]
    return svg.drawing(
        plot.height,
        f"{view.symbol}: price, volatility regimes, liquidations and events",
        bands,
        svg.time_axis(plot),
        _price_axis(plot, low),
        _liquidation_bars(plot, view),
        svg.line(plot, points, "price"),
        _marks(plot, view, told),
    )


def _price_axis(plot: Plot, low: float) -> Iterable[str]:
    for value in svg.round_values(low, plot.high, 4):
        y = plot.y(value)
        yield svg.rule(svg.LEFT, y, svg.WIDTH - svg.RIGHT, y, "grid")
        yield svg.text(svg.LEFT - 6, y + 4, price(value), "tick", anchor="end")


def _liquidation_bars(plot: Plot, view: SymbolView) -> Iterable[str]:
    most = max((value for value in view.liquidated_usd if value is not None), default=0.0)
    if not most:
        return
    scale = Plot(plot.from_ms, plot.to_ms, 0.0, most / _BARS_SHARE, plot.height)
    for hour, value in zip(view.hours_ms, view.liquidated_usd, strict=True):
        if value:
            words = f"{usd(value)} liquidated, {iso_utc(hour)}"
            yield svg.bar(scale, hour, hour + HOUR_MS, 0.0, value, "liquidated", words)


def _marks(plot: Plot, view: SymbolView, told: Sequence[Episode]) -> Iterable[str]:
    ends = {hour + HOUR_MS: value for hour, value in zip(view.hours_ms, view.close, strict=True)}
    for one in told:
        before_ms = one.from_ms // HOUR_MS * HOUR_MS
        known = [value for ts in (before_ms, before_ms + HOUR_MS) if (value := ends.get(ts)) is not None]
        if one.symbol == view.symbol and known and plot.from_ms <= one.from_ms < plot.to_ms:
            near = known[0] + (known[-1] - known[0]) * (one.from_ms - before_ms) / HOUR_MS
            words = f"{one.title} ({one.severity}, {iso_utc(one.from_ms)})"
            yield svg.dot(plot.x(one.from_ms), plot.y(near), f"mark sev-{one.severity.lower()}", words)


def timeline(report: Report, told: Sequence[Episode]) -> str:
    """Each kind of episode and symbol as a row, each episode as a bar."""
    rows = sorted({(one.event_type, one.symbol) for one in told})
    height = svg.TOP + svg.BOTTOM + _ROW * len(rows) * 1
    plot = Plot(report.from_ms, report.to_ms, 0, 1, height)
    left = 230
    span = plot.to_ms - plot.from_ms

    def x(ts_ms: int) -> float:
        return left + min(max((ts_ms - plot.from_ms) / span, 0), 1) * (svg.WIDTH - left - svg.RIGHT)

    parts = []
    for number, (kind, symbol) in enumerate(rows):
        y = svg.TOP + number * _ROW
        parts.append(svg.rule(left, y + _ROW, svg.WIDTH - svg.RIGHT, y + _ROW, "grid"))
        parts.append(svg.text(left - 8, y + 13, f"{_kind(kind)} {symbol}", "tick", anchor="end"))
        for one in told:
            if (one.event_type, one.symbol) == (kind, symbol):
                begin, end = x(one.from_ms), max(x(one.to_ms), x(one.from_ms) + 2.5)
                style = f"sev-{one.severity.lower()}"
                parts.append(svg.box(begin, y + 4, end - begin, _ROW - 8, style, _episode(one)))
    marks = [
        svg.text(x(ts), height - 6, words, "tick", anchor="middle")
        for ts, words in svg.time_labels(plot)
        if left + 14 < x(ts) < svg.WIDTH - 24
    ]
    return svg.drawing(height, "Episodes over time", parts, marks)


def alerts(report: Report, told: Load) -> str:
    """Messages in each step of time, by severity."""
    totals = [sum(counts) for counts in zip(*told.by_severity.values(), strict=True)]
    plot = Plot(report.from_ms, report.to_ms, 0, max([1, *totals]) * 1.1, 150)
    bars = []
    for step in range(len(totals)):
        begin = report.from_ms + step * told.step_ms
        ends = list(accumulate((told.by_severity[level.name][step] for level in Severity), initial=0))
        for level, base, top in zip(Severity, ends, ends[1:], strict=False):
            if top > base:
                words = f"{top - base} {level.name}, {iso_utc(begin)}"
                style = f"sev-{level.name.lower()}"
                bars.append(svg.bar(plot, begin, begin + told.step_ms, base, top, style, words))
    return svg.drawing(
        plot.height, "Messages over time", svg.time_axis(plot), svg.value_axis(plot, "{:,.3g}", 3), bars
    )


def coverage(report: Report) -> str:
    """Which data was there, a row a kind: filled where it was."""
    rows = [(f"candles {view.symbol}", _missing_bars(view)) for view in report.symbols]
    lost = [Stretch(gap.from_ms, gap.to_ms, _gap(gap)) for gap in report.gaps if gap.kind == "liquidation"]
    rows.append(("liquidations", lost))
    plot = Plot(report.from_ms, report.to_ms, 0, 1, svg.TOP + svg.BOTTOM + _ROW * len(rows))
    parts = []
    for number, (name, missing) in enumerate(rows):
        y = svg.TOP + number * _ROW + 4
        parts.append(svg.box(svg.LEFT + 110, y, svg.WIDTH - svg.RIGHT - svg.LEFT - 110, _ROW - 8, "seen"))
        parts.append(svg.text(svg.LEFT + 102, y + 9, name, "tick", anchor="end"))
        for one in missing:
            begin, end = _shifted(plot, one.from_ms), _shifted(plot, one.to_ms)
            parts.append(svg.box(begin, y, max(end - begin, 1.0), _ROW - 8, "unseen", one.state))
    labels = [
        svg.text(_shifted(plot, ts), plot.height - 6, words, "tick", anchor="middle")
        for ts, words in svg.time_labels(plot)
    ]
    return svg.drawing(plot.height, "Data that was there", parts, labels)


def _shifted(plot: Plot, ts_ms: int) -> float:
    """As `Plot.x`, with room for longer names at the left."""
    left = svg.LEFT + 110
    share = (ts_ms - plot.from_ms) / max(plot.to_ms - plot.from_ms, 1)
    return left + min(max(share, 0.0), 1.0) * (svg.WIDTH - svg.RIGHT - left)


def _missing_bars(view: SymbolView) -> list[Stretch]:
    found: list[Stretch] = []
    for hour, value in zip(view.hours_ms, view.close, strict=True):
        if value is not None:
            continue
        if found and found[-1].to_ms == hour:
            found[-1] = Stretch(found[-1].from_ms, hour + HOUR_MS, found[-1].state)
        else:
            found.append(Stretch(hour, hour + HOUR_MS, f"no candles from {iso_utc(hour)}"))
    return found


def forest(table: ScoreTable) -> str:
    """24 h volatility after each kind of event against usual, with its interval."""
    rows = [
        (group, effect)
        for group in table.groups
        if group.symbol == POOLED and (effect := group.effect(VOLATILITY, _SCORE_H)) is not None
    ]
    known = [value for _, effect in rows for value in (effect.ci or ())]
    low, high = min([0.5, *known]), max([2.0, *known])
    height = svg.TOP + svg.BOTTOM + _ROW * len(rows) + 4
    width = svg.WIDTH - _SCORE_LEFT - 150
    scale = Plot(0, 1, low, high, height, is_log=True)

    def x(value: float) -> float:
        share = 1 - (scale.y(value) - svg.TOP) / scale.floor_height
        return _SCORE_LEFT + share * width

    parts = [
        svg.rule(x(value), svg.TOP, x(value), height - svg.BOTTOM, "usual" if value == 1 else "grid")
        for value in (0.25, 0.5, 0.75, 1, 1.5, 2, 3, 4)
        if low <= value <= high
    ]
    parts += [
        svg.text(x(value), height - 6, f"{value:g}x", "tick", anchor="middle")
        for value in (0.25, 0.5, 1, 2, 4)
        if low <= value <= high
    ]
    for number, (group, effect) in enumerate(rows):
        parts += _effect_row(group, effect, svg.TOP + number * _ROW + 10, x)
    return svg.drawing(height, "Volatility in the 24 h after each kind of event", parts)


def _effect_row(group: Group, effect: Effect, y: float, x: Callable[[float], float]) -> list[str]:
    name = f"{_kind(group.event_type)} {group.variant.replace('_', ' ').lower()} (n {effect.n})"
    parts = [svg.text(_SCORE_LEFT - 10, y + 4, name, "tick", anchor="end")]
    end = svg.WIDTH - svg.RIGHT
    if effect.effect is None or effect.ci is None or not isfinite(effect.effect):
        return [*parts, svg.text(end, y + 4, f"too few: {effect.weeks} weeks", "tick", anchor="end")]
    style = "evident" if effect.is_evident else "chance"
    low, high = effect.ci
    words = f"{effect.effect:.2f}x, {low:.2f} to {high:.2f}"
    return [
        *parts,
        svg.rule(x(low), y, x(high), y, f"ci {style}"),
        svg.dot(x(effect.effect), y, style, words),
        svg.text(end, y + 4, words, "tick", anchor="end"),
    ]


def _told(stretch: Stretch) -> str:
    return f"{stretch.state} from {iso_utc(stretch.from_ms)} for {duration(stretch.to_ms - stretch.from_ms)}"


def _gap(gap: Gap) -> str:
    return f"no data from {iso_utc(gap.from_ms)} to {iso_utc(gap.to_ms)}: {gap.reason}"


def _kind(event_type: str) -> str:
    return event_type.replace("_", " ").capitalize()


def _episode(one: Episode) -> str:
    lasted = "still open" if one.is_open else f"lasted {duration(one.to_ms - one.from_ms)}"
    return f"{one.title} ({one.severity}, {iso_utc(one.from_ms)}, {lasted})"
