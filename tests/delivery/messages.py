"""Events and messages for the tests, and hostile ones out of hypothesis."""

from typing import Any

from hypothesis import strategies as st

from regimes.alerting.message import Fact, Link, Message
from regimes.alerting.render import render
from regimes.events import EventBody, Phase, Severity

START_MS = 1_706_972_460_000


def event(**changes: Any) -> EventBody:
    fields: dict[str, Any] = {
        "event_type": "LIQUIDATION_CASCADE",
        "timestamp": "2024-02-03T15:01:00Z",
        "symbol": "BTC/USDT",
        "severity": "CRITICAL",
        "title": "BTC/USDT liquidation cascade: 5.0 M USD in 10 h",
        "description": "Severity 4 of 5 at its peak.",
        "source": "CASCADE",
        "data": {"total_liquidation_usd": 5_000_000, "velocity_usd_per_hour": 500_000, "severity": 4},
        "id": "evt_0123456789abcdef0123456789",
        "phase": "opened",
        "started": "2024-02-03T05:01:00Z",
        "why": "velocity 500,000 USD/h >= 400,000",
        "links": {"dashboard": "https://example.com/?symbol=BTC/USDT", "more": "https://example.com/docs"},
    }
    return EventBody(**(fields | changes))


def message(**changes: Any) -> Message:
    return render(event(**changes))


# What breaks renderers: markup, entities, emoji of several code points, right-to-left marks, lone surrogates, controls.
_MARKUP = (
    "&",
    "<",
    ">",
    "<b>",
    "</b>",
    "&amp;",
    "\\",
    "*",
    "_",
    "`",
    "~",
    "|",
    "[x](http://a)",
    "# ",
    "- ",
    "1. ",
)
_CALLS = ("@everyone", "<!channel>", "<@1>")
_SIGNS = (
    "👩\u200d👧",
    "🚀",
    "e\u0301",
    "\u202e",
    "\ud800",
    "\udc00",
    "\0",
    "\n",
    "\u2028",
    "\t",
    " ",
    "\u200b",
)
_NASTY = st.sampled_from((*_MARKUP, *_CALLS, *_SIGNS))
texts = st.one_of(
    st.text(st.characters(exclude_categories=()), max_size=40),
    st.lists(st.one_of(_NASTY, st.text(max_size=5)), max_size=60).map("".join),
    st.tuples(_NASTY, st.integers(0, 7_000)).map(lambda pair: pair[0] * pair[1]),
)
messages = st.builds(
    Message,
    event_id=st.just("evt_0123456789abcdef0123456789"),
    revision=st.integers(0, 99),
    reminder=st.integers(0, 3),
    severity=st.sampled_from(Severity),
    phase=st.sampled_from(Phase),
    symbol=texts,
    title=texts,
    summary=texts,
    why=texts,
    ts_ms=st.integers(0, 4_102_444_800_000),
    started_ms=st.integers(0, 4_102_444_800_000),
    facts=st.lists(st.builds(Fact, texts, texts), max_size=40).map(tuple),
    links=st.lists(
        st.builds(Link, texts, st.one_of(texts, texts.map(lambda tail: "https://example.com/" + tail))),
        max_size=6,
    ).map(tuple),
    is_test=st.booleans(),
    late_ms=st.one_of(st.none(), st.integers(0, 10**9)),
    suppressed=st.integers(0, 10**6),
)
