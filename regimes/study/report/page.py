"""A report as one HTML file that needs nothing else: no script, no address, nothing loaded."""

from collections.abc import Iterable, Sequence
from html import escape
from importlib.resources import files
from typing import Final

from regimes.alerting.track_record import FEW, POOLED, Effect, ScoreTable
from regimes.events import Severity, iso_utc
from regimes.study.report import charts
from regimes.study.report.model import Episode, Report
from regimes.timeframe import HOUR_MS
from regimes.wording import count, duration, percent

EPISODES_SHOWN: Final = 200
_SCORE_H: Final = 24
_OUTCOMES: Final = ("volatility", "return", "drawdown", "funding", "liquidations")
_PRICELESS: Final = "No prices of this span are known: a service has candles on disk from some months before its first start on."


def html(report: Report) -> str:
    """The whole file."""
    css = files(__package__).joinpath("report.css").read_text(encoding="utf-8")
    title = f"{report.title}, {iso_utc(report.from_ms)[:10]} to {iso_utc(report.to_ms)[:10]}"
    parts = [_head(report), _tiles(report), _market(report), _prices(report), _events(report), _load(report)]
    parts += [_delivery(report), _data(report), _score(report.score)]
    return (
        '<!doctype html>\n<html lang="en"><head><meta charset="utf-8">'
        '<meta name="viewport" content="width=device-width, initial-scale=1">'
        "<meta http-equiv=\"Content-Security-Policy\" content=\"default-src 'none'; style-src 'unsafe-inline'\">"
        f"<title>{escape(title)}</title><style>{css}</style></head><body><main>{''.join(parts)}</main></body></html>\n"
    )


def _head(report: Report) -> str:
    span = f"{iso_utc(report.from_ms)} to {iso_utc(report.to_ms)}"
    told = f"{span}. From {report.source}; settings of the signals {report.settings}. All times UTC."
    return f'<h1>{escape(report.title)}</h1><p class="quiet">{escape(told)}</p>'


def _tiles(report: Report) -> str:
    span = max(report.to_ms - report.from_ms, 1)
    shares = {
        state: sum(s.to_ms - s.from_ms for s in report.market if s.state == state) / span
        for state in ("NORMAL", "ACTIVE", "CRISIS")
    }
    critical = sum(one.severity == Severity.CRITICAL.name for one in report.episodes)
    bars = [view.bars_share for view in report.symbols]
    tiles = [
        (duration(span), "looked at"),
        (str(len(report.episodes)), f"episodes, {critical} critical"),
        (f"{report.load.per_week:,.1f}", f"messages a week ({report.load.total:,})"),
        (percent(shares["CRISIS"], 1), "of the time in CRISIS"),
        (percent(shares["ACTIVE"], 1), "of the time ACTIVE"),
        (percent(min(bars), 2) if bars else "none", "of the candles there"),
    ]
    inner = "".join(f'<div class="tile"><b>{escape(a)}</b><span>{escape(b)}</span></div>' for a, b in tiles)
    return f'<div class="tiles">{inner}</div>'


def _market(report: Report) -> str:
    keys = _keys(("normal", "NORMAL"), ("active", "ACTIVE"), ("crisis", "CRISIS"))
    note = "By the episodes open at each moment: CRISIS from two critical ones on, ACTIVE from a warning on."
    return _section("State of the market", _figure(charts.ribbon(report), keys, note))


def _prices(report: Report) -> str:
    title = "Prices, volatility regimes and events"
    if not report.symbols:
        return _section(title, f'<p class="quiet">{_PRICELESS}</p>')
    keys = _keys(
        ("high", "HIGH_VOL"),
        ("explosive", "EXPLOSIVE"),
        ("extreme", "EXTREME"),
        ("liquidated", "liquidated in the hour"),
    )
    inner = "".join(
        f"<h3>{escape(view.symbol)}</h3>{_figure(charts.prices(report, view, report.episodes))}"
        for view in report.symbols
    )
    return _section(title, f'<p class="quiet">{keys}</p>{inner}')


def _events(report: Report) -> str:
    if not report.episodes:
        return _section("Events", "<p>None.</p>")
    shown = _worst_first(report.episodes)
    rows = [
        (
            _time(one.from_ms),
            f'<span class="badge {one.severity.lower()}">{one.severity}</span>',
            escape(one.event_type),
            escape(one.symbol),
            f'{escape(one.title)}<span class="quiet why">{escape(one.why)}</span>',
            "open" if one.is_open else duration(one.to_ms - one.from_ms),
        )
        for one in shown
    ]
    table = _table(("opened", "severity", "type", "symbol", "what, and by which rule", "lasted"), rows)
    more = len(report.episodes) - len(shown)
    note = (
        f'<p class="quiet">The {len(shown)} most severe of {len(report.episodes)}; {more} more are in the JSON.</p>'
        if more
        else ""
    )
    keys = _keys(("info", "INFO"), ("warning", "WARNING"), ("critical", "CRITICAL"))
    return _section("Events", _figure(charts.timeline(report, report.episodes), keys) + note + table)


def _worst_first(episodes: Sequence[Episode]) -> list[Episode]:
    """As many as are shown, the most severe ones, in order of time."""
    worst = sorted(episodes, key=lambda one: -Severity[one.severity])[:EPISODES_SHOWN]
    return sorted(worst, key=lambda one: one.from_ms)


def _load(report: Report) -> str:
    told = report.load
    step = {HOUR_MS: "an hour", 24 * HOUR_MS: "a day"}.get(told.step_ms, "a week")
    sent = _table(
        ("messages", "number"), [(escape(k), str(n)) for k, n in told.by_type.items()], numbers=(1,)
    )
    held = _table(
        ("not sent because", "decisions"),
        [(escape(k), str(n)) for k, n in told.held_back.items()],
        numbers=(1,),
    )
    words = f"{count(told.total, 'message')}, {told.per_week:,.1f} a week. Each bar is {step}."
    return _section(
        "Alert load",
        f"<p>{words}</p>{_figure(charts.alerts(report, told))}<div class='pair'>{sent}{held}</div>",
    )


def _delivery(report: Report) -> str:
    if not report.endpoints:
        return _section(
            "Delivery",
            '<p class="quiet">Nothing was sent: a replay sends nothing, or no endpoint took anything.</p>',
        )
    rows = []
    for one in report.endpoints:
        total = sum(one.by_status.values())
        arrived = one.by_status.get("delivered", 0) / total
        others = ", ".join(f"{n} {status}" for status, n in one.by_status.items() if status != "delivered")
        times = [f"{s:,.2f} s" if s is not None else "-" for s in (one.median_seconds, one.worst_seconds)]
        rows.append(
            (
                escape(one.endpoint),
                str(total),
                percent(arrived, 1),
                escape(others) or "-",
                str(one.tries),
                *times,
            )
        )
    heads = ("endpoint", "messages", "delivered", "others", "tries", "median time", "worst time")
    return _section("Delivery", _table(heads, rows, numbers=(1, 2, 4, 5, 6)))


def _data(report: Report) -> str:
    rows = [
        (
            escape(view.symbol),
            percent(view.bars_share, 2),
            percent(view.watched_share, 2),
            "yes" if view.settlements_known else "no",
        )
        for view in report.symbols
    ]
    heads = ("symbol", "candles there", "liquidations watched", "funding known")
    table = _table(heads, rows, numbers=(1, 2)) if rows else f'<p class="quiet">{_PRICELESS}</p>'
    troubles = [
        (
            _time(one.from_ms),
            escape(one.event_type),
            escape(one.title),
            "open" if one.is_open else duration(one.to_ms - one.from_ms),
        )
        for one in report.system[:EPISODES_SHOWN]
    ]
    told = _table(("since", "type", "what", "lasted"), troubles) if troubles else ""
    return _section("Quality of the data", _figure(charts.coverage(report)) + table + told)


def _score(table: ScoreTable | None) -> str:
    if table is None or not table.groups:
        return _section("What followed", '<p class="quiet">Nothing to measure in this span.</p>')
    if not table.is_measured:
        return _section("What followed", f'<p class="quiet">{_PRICELESS} So nothing could be measured.</p>')
    note = (
        f"Measured on {table.events:,} events from {iso_utc(table.from_ms)[:10]} to {iso_utc(table.to_ms)[:10]} ({table.source}), "
        "against times of the same hour of the week and volatility without such an event. 1x is as usual; the bar is the 95 % "
        "interval of the effect alone. Blue: beyond chance with the whole table considered (false discovery rate 5 %). "
        f"Fewer than {FEW} events show nothing."
    )
    rows = [
        (
            escape(f"{group.event_type} {group.variant}"),
            str(group.events),
            *(_cell(group.effect(outcome, _SCORE_H)) for outcome in _OUTCOMES),
        )
        for group in table.groups
        if group.symbol == POOLED
    ]
    heads = ("events like", "n", *(f"{outcome} {_SCORE_H} h" for outcome in _OUTCOMES))
    figure = _figure(charts.forest(table))
    return _section(
        "What followed", f'<p class="quiet">{escape(note)}</p>{figure}{_table(heads, rows, numbers=(1,))}'
    )


def _cell(effect: Effect | None) -> str:
    if effect is None or not effect.n:
        return "-"
    if effect.effect is None or effect.ci is None:
        return f'<span class="quiet">n {effect.n}: too few</span>'
    low, high = effect.ci
    if effect.scale == "ratio":
        words = f'{effect.effect:.2f}x <span class="quiet between">{low:.2f} to {high:.2f}</span>'
    else:
        words = f'{effect.effect:+.3%} <span class="quiet between">{low:+.3%} to {high:+.3%}</span>'
    return f"<b>{words}</b>" if effect.is_evident else words


def _section(title: str, inner: str) -> str:
    return f"<section><h2>{escape(title)}</h2>{inner}</section>"


def _figure(drawing: str, keys: str = "", note: str = "") -> str:
    caption = f"<figcaption>{keys} &ensp;{escape(note)}</figcaption>" if keys or note else ""
    return f"<figure>{drawing}{caption}</figure>"


def _keys(*keys: tuple[str, str]) -> str:
    return "".join(f'<span class="key {style}"></span>{escape(words)}' for style, words in keys)


def _table(heads: Sequence[str], rows: Iterable[Sequence[str]], *, numbers: Sequence[int] = ()) -> str:
    """A table; cells are HTML already. numbers: columns set to the right."""
    style = [' class="number"' if place in numbers else "" for place in range(len(heads))]
    head = "".join(f'<th scope="col"{s}>{escape(name)}</th>' for s, name in zip(style, heads, strict=True))
    body = "".join(
        f"<tr>{''.join(f'<td{s}>{cell}</td>' for s, cell in zip(style, row, strict=True))}</tr>"
        for row in rows
    )
    label = escape(", ".join(heads), quote=True)
    return f'<div class="scroll" tabindex="0" role="group" aria-label="{label}"><table><thead><tr>{head}</tr></thead><tbody>{body}</tbody></table></div>'


def _time(ts_ms: int) -> str:
    return f'<span class="time">{iso_utc(ts_ms)[:16].replace("T", " ")}</span>'
