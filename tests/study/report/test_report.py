import re
from html.parser import HTMLParser
from pathlib import Path
from typing import Any

import msgspec
import pytest

from regimes.alerting.records import Action, Decision, Reason
from regimes.config.settings import settings_type
from regimes.events import Event, EventBody, EventType, Phase, Severity, body
from regimes.features.volatility_regime.settings import VolatilitySettings
from regimes.history import open_source
from regimes.observations import FeedGap
from regimes.study.past import Delivered, Past, Sending, replayed
from regimes.study.report.model import Report, Stretch, episodes, make, market
from regimes.study.report.page import html
from regimes.study.report.svg import Plot, bounds, round_values, time_labels
from regimes.timeframe import HOUR_MS
from tests.study.score.market import FROM_MS, series

TO_MS = FROM_MS + 168 * HOUR_MS
NASTY = "<script>alert('x')</script>\"&"


def state(
    hour: int, phase: Phase, revision: int = 0, severity: Severity = Severity.WARNING, **changes: Any
) -> EventBody:
    whole: dict[str, Any] = {
        "type": EventType.VOLATILITY_REGIME,
        "symbol": "BTC/USDT",
        "severity": severity,
        "phase": phase,
        "ts_ms": FROM_MS + hour * HOUR_MS,
        "started_ms": FROM_MS,
        "revision": revision,
        "title": f"{phase} title",
        "description": "",
        "why": "a rule",
        "data": {},
        **changes,
    }
    return body(Event(**whole))


def past(**changes: Any) -> Past:
    whole: dict[str, Any] = {
        "source": "a test",
        "symbols": ["BTC/USDT"],
        "from_ms": FROM_MS,
        "to_ms": TO_MS,
        "settings": "none",
        "states": [state(2, Phase.OPENED), state(9, Phase.CLOSED, 1)],
        "series": {"BTC/USDT": series(1)},
        **changes,
    }
    return Past(**whole)


def made(**changes: Any) -> Report:
    return make(past(**changes), VolatilitySettings(), None)


class Reader(HTMLParser):
    """Tags in order, those that stay open, and every address."""

    VOID = frozenset({"meta", "br"})

    def __init__(self) -> None:
        super().__init__()
        self.tags: list[str] = []
        self.open: list[str] = []
        self.addresses: list[str] = []

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.tags.append(tag)
        self.addresses += [value or "" for name, value in attrs if name in {"src", "href", "action", "data"}]
        if tag not in self.VOID:
            self.open.append(tag)

    def handle_endtag(self, tag: str) -> None:
        assert self.open.pop() == tag


def read(page: str) -> Reader:
    reader = Reader()
    reader.feed(page)
    assert reader.open == []
    return reader


def test_the_file_needs_nothing_else_and_runs_nothing() -> None:
    reader = read(html(made()))
    assert reader.addresses == []
    assert "script" not in reader.tags
    assert "link" not in reader.tags
    assert not re.search(r"url\(|@import", html(made()))


def test_text_from_outside_stays_text() -> None:
    reader = read(
        html(made(states=[state(2, Phase.OPENED, title=NASTY, why=NASTY, symbol=NASTY)], source=NASTY))
    )
    assert "script" not in reader.tags


@pytest.mark.parametrize("changes", [{"states": []}, {"series": {}}, {"states": [], "series": {}}])
def test_a_span_in_which_nothing_is_known_has_a_report_too(changes: dict[str, Any]) -> None:
    page = html(made(**changes))
    read(page)
    assert ("No prices of this span are known" in page) == ("series" in changes)


def test_an_episode_lasts_from_its_opening_to_its_end_and_keeps_its_worst_words() -> None:
    states = [
        state(2, Phase.OPENED),
        state(4, Phase.UPDATED, 1, Severity.CRITICAL, title="worst"),
        state(9, Phase.CLOSED, 2, Severity.CRITICAL, title="over"),
    ]
    (found,) = episodes(states, FROM_MS, TO_MS)
    assert (found.severity, found.title, found.is_open) == ("CRITICAL", "worst", False)
    assert (found.from_ms - FROM_MS, found.to_ms - FROM_MS) == (2 * HOUR_MS, 9 * HOUR_MS)


def test_an_episode_that_was_open_before_the_span_begins_when_it_began() -> None:
    (found,) = episodes([state(9, Phase.CLOSED, 3, started_ms=FROM_MS - HOUR_MS)], FROM_MS, TO_MS)
    assert found.from_ms == FROM_MS - HOUR_MS


def test_the_market_is_in_crisis_while_two_critical_episodes_are_open() -> None:
    critical = [
        state(hour, phase, revision, Severity.CRITICAL, symbol=symbol)
        for symbol, hours in (("BTC/USDT", (10, 30)), ("ETH/USDT", (20, 40)))
        for revision, (hour, phase) in enumerate(zip(hours, (Phase.OPENED, Phase.CLOSED), strict=True))
    ]
    told = market(episodes(critical, FROM_MS, TO_MS), FROM_MS, TO_MS)
    at = [FROM_MS + hour * HOUR_MS for hour in (0, 10, 20, 30, 40, 168)]
    states = ["NORMAL", "ACTIVE", "CRISIS", "ACTIVE", "NORMAL"]
    assert told == [Stretch(b, e, s) for b, e, s in zip(at, at[1:], states, strict=False)]


def test_the_load_counts_messages_and_why_others_were_not_sent() -> None:
    sent = [Sending(FROM_MS + h * HOUR_MS, "e", "VOLATILITY_REGIME", "WARNING", "chat") for h in (1, 2, 30)]
    held = Decision(
        event_id="e",
        revision=0,
        endpoint="chat",
        action=Action.SUPPRESS,
        reason=Reason.COOLDOWN,
        words="",
        ts_ms=FROM_MS,
    )
    load = made(sendings=sent, decisions=[held]).load
    assert (load.total, load.per_week, load.by_type) == (3, 3.0, {"VOLATILITY_REGIME": 3})
    assert list(load.by_severity["WARNING"]) == [2, 1, 0, 0, 0, 0, 0]
    assert load.held_back == {"cooldown": 1}


def test_delivery_says_how_many_arrived_and_how_fast() -> None:
    done = [Delivered("chat", "delivered", 1, FROM_MS, 0.5), Delivered("chat", "dead", 5, FROM_MS, None)]
    (view,) = made(deliveries=done).endpoints
    assert (view.by_status, view.tries, view.median_seconds) == ({"delivered": 1, "dead": 1}, 6, 0.5)
    assert "50.0 %" in html(made(deliveries=done))


def test_a_gap_that_is_still_open_reaches_to_the_end_of_the_span() -> None:
    gap = FeedGap(FROM_MS, "v", "liquidation", None, FROM_MS - 5, None, "not recorded")
    (told,) = made(gaps=[gap]).gaps
    assert (told.from_ms, told.to_ms) == (FROM_MS, TO_MS)


def test_a_report_is_json_too() -> None:
    report = made()
    assert msgspec.json.decode(msgspec.json.encode(report), type=Report).episodes == report.episodes


def test_places_in_a_drawing_stay_inside_it() -> None:
    plot = Plot(0, 100, 10.0, 20.0, 200)
    assert plot.x(-5) == plot.x(0) < plot.x(50) < plot.x(100) == plot.x(500)
    assert plot.y(5) == plot.y(10) > plot.y(20) == plot.y(25)
    assert bounds([float("nan")]) == (0.0, 1.0)
    assert bounds([5.0])[0] < 5.0 < bounds([5.0])[1]
    assert round_values(1.0, 1.0, 4) == [1.0]
    assert 2 <= len(time_labels(Plot(0, 90 * HOUR_MS, 0, 1, 100))) <= 11


def test_the_report_of_a_real_crisis_shows_it(data_dir: Path) -> None:
    source = open_source(data_dir)
    start_ms = 1_737_964_800_000  # 2025-01-27 08:00
    whole = replayed(source, settings_type()(), start_ms, start_ms + 16 * HOUR_MS)
    report = make(whole, VolatilitySettings(), None)
    assert any(
        one.event_type == "LIQUIDATION_CASCADE" and one.severity == "CRITICAL" for one in report.episodes
    )
    assert any(stretch.state == "CRISIS" for stretch in report.market)
    assert all(view.bars_share == 1.0 for view in report.symbols)
    assert all(view.watched_share == 0.0 and any(view.liquidated_usd) for view in report.symbols)
    read(html(report))
