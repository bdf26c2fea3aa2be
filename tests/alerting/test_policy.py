"""The policy as a table: which events become messages, and the reason it gives."""

from collections.abc import Sequence
from typing import Any

import msgspec
import pytest
from hypothesis import given, settings as hypothesis_settings, strategies as st

from regimes.alerting.policy import DIGEST_LIMIT, Policy, describe
from regimes.alerting.records import Action, Dispatch, Reason, Route, Silence
from regimes.alerting.settings import AlertingSettings
from regimes.events import Event, EventType, Phase, Severity
from regimes.timeframe import DAY_MS, HOUR_MS, MINUTE_MS

START = 1_722_816_000_000
CHAT = Route(endpoint="chat", sources=frozenset({"ALL"}), minimum=Severity.WARNING)


def event(
    symbol: str = "BTC/USDT",
    severity: Severity = Severity.WARNING,
    phase: Phase = Phase.OPENED,
    *,
    started: int = START,
    revision: int = 0,
    kind: EventType = EventType.LIQUIDATION_CASCADE,
    data: dict[str, Any] | None = None,
) -> Event:
    return Event(
        type=kind,
        symbol=symbol,
        severity=severity,
        phase=phase,
        ts_ms=started,
        started_ms=started,
        revision=revision,
        title=f"{symbol} {severity.name}",
        description="",
        why="velocity 500,000 USD/h >= 200,000",
        data=data or {},
    )


def policy(routes: Sequence[Route] = (CHAT,), **changes: Any) -> Policy:
    return Policy(AlertingSettings(**changes), routes)


def reasons(
    subject: Policy, *turns: tuple[Event, int], silences: Sequence[Silence] = ()
) -> list[tuple[Action, Reason]]:
    return [(d.action, d.reason) for e, at in turns for d in subject.decide(e, at, silences).decisions]


def test_a_new_warning_is_sent_and_says_why() -> None:
    verdicts = policy().decide(event(), START)
    assert [(d.action, d.reason, d.words) for d in verdicts.decisions] == [
        (Action.SEND, Reason.OPENED, "velocity 500,000 USD/h >= 200,000")
    ]
    assert [(d.endpoint, d.edit) for d in verdicts.dispatches] == [("chat", False)]


def test_info_is_stored_with_its_reason_but_not_sent_by_default() -> None:
    verdicts = policy().decide(event(severity=Severity.INFO), START)
    assert not verdicts.dispatches
    assert [d.reason for d in verdicts.decisions] == [Reason.BELOW_MINIMUM]
    assert verdicts.decisions[0].words == "INFO < WARNING"


def test_an_episode_rings_again_only_when_it_grows_more_severe() -> None:
    subject = policy()
    assert reasons(
        subject,
        (event(), START),
        (event(phase=Phase.UPDATED, revision=1), START + 1),
        (event(phase=Phase.UPDATED, severity=Severity.CRITICAL, revision=2), START + 2),
        (event(phase=Phase.CLOSED, revision=3), START + 3),
    ) == [
        (Action.SEND, Reason.OPENED),
        (Action.EDIT, Reason.CHANGED),
        (Action.SEND, Reason.ESCALATED),
        (Action.EDIT, Reason.CLOSED),
    ]


def test_an_episode_that_was_too_small_is_sent_once_it_reaches_the_minimum() -> None:
    assert reasons(
        policy(),
        (event(severity=Severity.INFO), START),
        (event(phase=Phase.UPDATED, revision=1), START + 1),
    ) == [(Action.SUPPRESS, Reason.BELOW_MINIMUM), (Action.SEND, Reason.ESCALATED)]


def test_the_end_of_an_episode_that_was_never_sent_is_not_sent_either() -> None:
    assert reasons(policy(), (event(phase=Phase.CLOSED, revision=1), START)) == [
        (Action.SUPPRESS, Reason.NOT_SENT_BEFORE)
    ]


def test_flapping_a_hundred_times_in_ten_minutes_makes_one_message_and_one_edit() -> None:
    subject = policy()
    dispatches: list[Dispatch] = []
    for flap in range(100):
        at = START + flap * 6_000
        dispatches += subject.decide(event(started=at), at).dispatches
        dispatches += subject.decide(event(started=at, phase=Phase.CLOSED, revision=1), at + 3_000).dispatches
        dispatches += subject.tick(at + 3_000).dispatches
    assert [d.edit for d in dispatches] == [False, True]


def test_cooldown_ends_when_it_says() -> None:
    subject = policy(cooldown_minutes=180)
    until = START + 180 * MINUTE_MS
    assert reasons(
        subject,
        (event(), START),
        (event(phase=Phase.CLOSED, revision=1), START + 1),
        (event(started=until - 1), until - 1),
        (event(started=until), until),
    )[2:] == [(Action.SUPPRESS, Reason.COOLDOWN), (Action.SEND, Reason.OPENED)]


def test_cooldown_never_hides_an_escalation() -> None:
    subject = policy()
    turns = [(event(), START), (event(phase=Phase.CLOSED, revision=1), START + 1)]
    worse = event(severity=Severity.CRITICAL, started=START + 2)
    assert reasons(subject, *turns, (worse, START + 2))[-1] == (Action.SEND, Reason.OPENED)


def test_cooldown_of_one_symbol_leaves_the_others_alone() -> None:
    assert reasons(policy(), (event(), START), (event("ETH/USDT"), START + 1))[-1] == (
        Action.SEND,
        Reason.OPENED,
    )


def test_a_burst_of_two_hundred_symbols_is_three_messages_and_one_summary_within_thirty_seconds() -> None:
    subject = policy()
    dispatches: list[Dispatch] = []
    for n in range(200):
        severity = Severity.CRITICAL if n in {150, 180} else Severity.WARNING
        data = {"velocity_usd_per_hour": 1000.0 * n}
        at = START + n * 50
        dispatches += subject.decide(event(f"S{n}/USDT", severity, started=at, data=data), at).dispatches
    for second in range(31):
        dispatches += subject.tick(START + second * 1000).dispatches
    assert [d.event.symbol for d in dispatches] == ["S0/USDT", "S1/USDT", "S2/USDT", "MANY"]
    summary = dispatches[-1].event
    assert summary.ts_ms <= START + 30_000
    assert summary.severity is Severity.CRITICAL
    assert summary.data["count"] == 197
    assert [line["symbol"] for line in summary.data["events"][:3]] == ["S180/USDT", "S150/USDT", "S199/USDT"]
    assert "S180/USDT, S150/USDT, S199/USDT" in summary.description


def test_an_episode_told_in_a_burst_still_rings_when_it_escalates() -> None:
    subject = policy()
    for n in range(6):
        subject.decide(event(f"S{n}/USDT"), START)
    subject.tick(START + 30_000)
    worse = event("S5/USDT", Severity.CRITICAL, Phase.UPDATED, revision=1)
    assert reasons(subject, (worse, START + 40_000)) == [(Action.SEND, Reason.ESCALATED)]


def test_a_critical_that_stays_open_is_repeated_ever_more_rarely_until_it_closes() -> None:
    subject = policy(repeat_hours=6)
    subject.decide(event(severity=Severity.CRITICAL), START)
    rings = {
        hour: [(d.reason, o.reminder) for d, o in zip(turn.decisions, turn.dispatches, strict=True)]
        for hour in range(60)
        if (turn := subject.tick(START + hour * HOUR_MS)).decisions
    }
    assert rings == {6: [(Reason.REPEAT, 1)], 18: [(Reason.REPEAT, 2)], 42: [(Reason.REPEAT, 3)]}
    subject.decide(event(severity=Severity.CRITICAL, phase=Phase.CLOSED, revision=1), START + 61 * HOUR_MS)
    assert not subject.tick(START + 200 * HOUR_MS).dispatches


def cascade(relative: int | None, severity: Severity = Severity.CRITICAL, revision: int = 0) -> Event:
    phase = Phase.UPDATED if revision else Phase.OPENED
    return event(severity=severity, phase=phase, revision=revision, data={"peak_severity_relative": relative})


@pytest.mark.parametrize(
    ("settings", "relative", "answer"),
    [
        ({}, 5, Reason.OPENED),
        ({}, 4, Reason.USUAL),
        ({}, None, Reason.OPENED),
        ({"cascade_relative_severity": 3}, 3, Reason.OPENED),
        ({"cascade_relative_severity": 3}, 2, Reason.USUAL),
        ({"cascade_basis": "absolute"}, 1, Reason.OPENED),
        ({"cascade_basis": "relative"}, 5, Reason.OPENED),
        ({"cascade_basis": "relative"}, 4, Reason.USUAL),
        ({"cascade_basis": "relative"}, None, Reason.OPENED),
    ],
)
def test_a_cascade_is_sent_if_it_is_unusual_for_its_symbol_or_nothing_is_known_of_that(
    settings: dict[str, Any], relative: int | None, answer: Reason
) -> None:
    assert [d.reason for d in policy(**settings).decide(cascade(relative), START).decisions] == [answer]


@pytest.mark.parametrize(
    ("relative", "burst", "answer"),
    [
        (4, True, Reason.OPENED),
        (4, False, Reason.USUAL),
        (4, None, Reason.USUAL),
        (5, False, Reason.OPENED),
        (None, False, Reason.OPENED),
    ],
)
def test_with_the_basis_of_bursts_a_usual_cascade_is_sent_in_one(
    relative: int | None, burst: object, answer: Reason
) -> None:
    told = event(data={"peak_severity_relative": relative, "burst": burst})
    assert [d.reason for d in policy(cascade_basis="burst").decide(told, START).decisions] == [answer]
    assert [d.reason for d in policy().decide(told, START).decisions] == [
        answer if relative != 4 else Reason.USUAL
    ]


@pytest.mark.parametrize(
    ("severity", "state", "answer"),
    [
        (Severity.WARNING, "EXPLOSIVE", Reason.OPENED),
        (Severity.WARNING, "HIGH_VOL", Reason.USUAL),
        (Severity.CRITICAL, "EXPLOSIVE", Reason.USUAL),
        (Severity.CRITICAL, "EXTREME", Reason.OPENED),
        (Severity.CRITICAL, None, Reason.OPENED),
    ],
)
def test_volatility_is_sent_where_its_calibrated_state_is_as_severe_or_unknown(
    severity: Severity, state: str | None, answer: Reason
) -> None:
    told = event(kind=EventType.VOLATILITY_REGIME, severity=severity, data={"vol_regime_calibrated": state})
    assert [d.reason for d in policy(volatility_basis="both").decide(told, START).decisions] == [answer]
    assert [d.reason for d in policy().decide(told, START).decisions] == [Reason.OPENED]


@pytest.mark.parametrize(
    ("alarm", "answer"), [(True, Reason.OPENED), (False, Reason.USUAL), (None, Reason.OPENED)]
)
def test_funding_is_sent_where_its_robust_score_is_an_alarm_too_or_unknown(
    alarm: object, answer: Reason
) -> None:
    told = event(kind=EventType.FUNDING_ANOMALY, data={"robust_alarm": alarm, "z_robust": 2.5})
    assert [d.reason for d in policy(funding_basis="both").decide(told, START).decisions] == [answer]
    assert [d.reason for d in policy().decide(told, START).decisions] == [Reason.OPENED]


@pytest.mark.parametrize(
    ("basis", "answer"),
    [
        ("absolute", Reason.SMALL),
        ("both", Reason.SMALL),
        ("burst", Reason.SMALL),
        ("relative", Reason.OPENED),
    ],
)
def test_what_is_unusual_but_few_dollars_is_sent_only_where_dollars_are_not_asked(
    basis: str, answer: Reason
) -> None:
    small = event(data={"peak_severity_relative": 5, "peak_severity": 1, "basis": "relative"})
    assert [d.reason for d in policy(cascade_basis=basis).decide(small, START).decisions] == [answer]


def test_a_usual_cascade_that_becomes_unusual_is_sent_then() -> None:
    subject = policy()
    held, sent = (
        subject.decide(cascade(r, revision=n), START + n).decisions[0] for n, r in enumerate((2, 5))
    )
    assert (held.action, held.words) == (
        Action.SUPPRESS,
        "usual for BTC/USDT: relative severity 2 of 5 < 5",
    )
    assert (sent.action, sent.reason) == (Action.SEND, Reason.ESCALATED)


def test_only_cascades_are_asked_how_usual_they_are() -> None:
    other = event(kind=EventType.FUNDING_ANOMALY, data={"peak_severity_relative": 1})
    assert reasons(policy(), (other, START)) == [(Action.SEND, Reason.OPENED)]


@pytest.mark.parametrize(
    ("kind", "minutes"),
    [
        (EventType.FUNDING_ANOMALY, 3),
        (EventType.FUNDING_REVERSAL, 3),
        (EventType.SYSTEM_DB_DOWN, 5),
        (EventType.VOLATILITY_REGIME, 2),
        (EventType.LIQUIDATION_CASCADE, 2),
    ],
)
def test_each_source_has_its_cooldown_and_keeps_it_through_ticks(kind: EventType, minutes: int) -> None:
    subject = policy(cooldown_minutes=2, funding_cooldown_minutes=3, system_cooldown_minutes=5)
    until = START + minutes * MINUTE_MS
    subject.decide(event(kind=kind), START)
    subject.tick(until - 1)
    assert reasons(
        subject, (event(kind=kind, started=until - 1), until - 1), (event(kind=kind, started=until), until)
    ) == [(Action.SUPPRESS, Reason.COOLDOWN), (Action.SEND, Reason.OPENED)]
    subject.tick(until + minutes * MINUTE_MS)
    assert not subject.state.endpoints["chat"].last


@pytest.mark.parametrize(
    ("silence", "held"),
    [
        ({}, True),
        ({"symbol": "BTC/USDT"}, True),
        ({"symbol": "ETH/USDT"}, False),
        ({"event_type": "LIQUIDATION_CASCADE"}, True),
        ({"event_type": "FUNDING_ANOMALY"}, False),
        ({"up_to": Severity.INFO}, False),
        ({"until_ms": START}, False),
    ],
)
def test_a_silence_holds_what_it_matches_while_it_lasts(silence: dict[str, Any], *, held: bool) -> None:
    every = Silence(id="s1", created_ms=START - 1, until_ms=START + HOUR_MS)
    whole = msgspec.structs.replace(every, **silence)
    expected = (Action.SUPPRESS, Reason.SILENCED) if held else (Action.SEND, Reason.OPENED)
    assert reasons(policy(), (event(), START), silences=[whole]) == [expected]


def test_the_daily_cap_says_once_that_it_is_reached_and_lets_critical_through() -> None:
    subject = policy(daily_cap=2)
    turns = [(event(f"S{n}/USDT", started=START + n * MINUTE_MS), START + n * MINUTE_MS) for n in range(4)]
    decided = [(d.action, d.reason) for e, at in turns for d in subject.decide(e, at).decisions]
    assert decided == [
        (Action.SEND, Reason.OPENED),
        (Action.SEND, Reason.OPENED),
        (Action.SUPPRESS, Reason.DAILY_CAP),
        (Action.SEND, Reason.CAP_NOTICE),
        (Action.SUPPRESS, Reason.DAILY_CAP),
    ]
    worse = event("S9/USDT", Severity.CRITICAL)
    assert reasons(subject, (worse, START + HOUR_MS)) == [(Action.SEND, Reason.OPENED)]
    assert reasons(subject, (event("S10/USDT"), START + 2 * DAY_MS)) == [(Action.SEND, Reason.OPENED)]


def test_the_digest_collects_info_and_leaves_once_a_day() -> None:
    subject = policy(digest=True, digest_hour_utc=8)
    day = START // DAY_MS * DAY_MS
    assert reasons(subject, (event(severity=Severity.INFO, started=day), day)) == [
        (Action.DIGEST, Reason.BELOW_MINIMUM)
    ]
    assert not subject.tick(day + 8 * HOUR_MS - 1).dispatches
    (sent,) = subject.tick(day + 8 * HOUR_MS).dispatches
    assert sent.event.type is EventType.SYSTEM_DIGEST
    assert sent.event.data["count"] == 1
    subject.decide(event("ETH/USDT", Severity.INFO), day + 9 * HOUR_MS)
    assert not subject.tick(day + 10 * HOUR_MS).dispatches
    assert len(subject.tick(day + 32 * HOUR_MS).dispatches) == 1


def test_each_source_has_its_route_and_system_goes_to_admin_first() -> None:
    funding = Route(endpoint="funding", sources=frozenset({"FUNDING"}), minimum=Severity.INFO)
    admin = Route(endpoint="admin", sources=frozenset({"ADMIN"}), minimum=Severity.INFO)
    system = event(kind=EventType.SYSTEM_DB_DOWN, symbol="ALL")
    for routes, subject, expected in [
        ([CHAT, funding, admin], event(kind=EventType.FUNDING_ANOMALY), ["chat", "funding"]),
        ([CHAT, funding, admin], event(), ["chat"]),
        ([CHAT, funding, admin], system, ["admin"]),
        ([CHAT, funding], system, ["chat"]),
        ([funding], event(), []),
    ]:
        assert [d.endpoint for d in policy(routes).decide(subject, START).dispatches] == expected


def test_a_restart_repeats_nothing_and_forgets_nothing() -> None:
    before, after = policy(), policy()
    before.decide(event(), START)
    for n in range(5):
        before.decide(event(f"S{n}/USDT"), START)
    after.restore(before.snapshot())
    assert after.snapshot() == before.snapshot()
    assert reasons(after, (event(), START + 1)) == [(Action.EDIT, Reason.CHANGED)]
    assert [d.event.symbol for d in after.tick(START + 30_000).dispatches] == ["MANY"]


def test_a_restart_without_an_endpoint_forgets_it() -> None:
    before = policy()
    before.decide(event(), START)
    after = policy([])
    after.restore(before.snapshot())
    assert not after.state.endpoints


KINDS = st.sampled_from([EventType.LIQUIDATION_CASCADE, EventType.FUNDING_REVERSAL, EventType.SYSTEM_DB_DOWN])
EVENTS = st.builds(
    lambda kind, symbol, severity, phase, started: event(
        symbol, severity, phase, started=START + started, kind=kind
    ),
    KINDS,
    st.sampled_from(["A/USDT", "B/USDT", "C/USDT", "D/USDT", "E/USDT"]),
    st.sampled_from(Severity),
    st.sampled_from(Phase),
    st.integers(0, 3),
)


@given(st.lists(st.tuples(EVENTS, st.integers(0, 600_000)), max_size=60))
@hypothesis_settings(deadline=None, max_examples=150)
def test_every_event_gets_exactly_one_answer_and_only_notices_come_on_top(
    turns: list[tuple[Event, int]],
) -> None:
    subject = policy(daily_cap=5)
    at = START
    for asked, wait in turns:
        at += wait
        verdicts = subject.decide(asked, at)
        answers = [d for d in verdicts.decisions if d.event_id == asked.id]
        assert len(answers) == 1
        extra = [d.reason for d in verdicts.decisions if d.event_id != asked.id]
        assert extra in ([], [Reason.CAP_NOTICE])
        sends = [d for d in verdicts.decisions if d.action in {Action.SEND, Action.EDIT}]
        assert len(verdicts.dispatches) == len(sends)
        subject.tick(at)


@given(st.lists(st.tuples(EVENTS, st.integers(0, 600_000)), max_size=40), st.integers(0, 40))
@hypothesis_settings(deadline=None, max_examples=100)
def test_snapshot_and_restore_anywhere_equals_never_stopping(
    turns: list[tuple[Event, int]], cut: int
) -> None:
    whole, first = policy(), policy()
    at = START
    for n, (asked, wait) in enumerate(turns):
        at += wait
        if n == cut:
            second = policy()
            second.restore(first.snapshot())
            first = second
        expected, actual = whole.decide(asked, at), first.decide(asked, at)
        assert msgspec.json.encode(actual) == msgspec.json.encode(expected)
        assert msgspec.json.encode(first.tick(at)) == msgspec.json.encode(whole.tick(at))


def test_other_settings_count_from_then_on_and_an_endpoint_that_is_gone_is_forgotten() -> None:
    other = Route(endpoint="other", sources=frozenset({"ALL"}), minimum=Severity.WARNING)
    subject = policy((CHAT, other), cooldown_minutes=60)
    subject.decide(event(), START)
    assert describe(subject.state) == {"chat": {"open": 1, "held": 0}, "other": {"open": 1, "held": 0}}
    loud = Route(endpoint="chat", sources=frozenset({"ALL"}), minimum=Severity.INFO)
    subject.change(AlertingSettings(cooldown_minutes=0), [loud])
    assert describe(subject.state) == {"chat": {"open": 1, "held": 0}}
    again = event("ETH/USDT", Severity.INFO, started=START + 1)
    assert reasons(subject, (again, START + 1)) == [(Action.SEND, Reason.OPENED)]
    assert reasons(subject, (event(phase=Phase.CLOSED, revision=1), START + 2)) == [
        (Action.EDIT, Reason.CLOSED)
    ]


def test_history_is_answered_and_told_to_nobody() -> None:
    subject = policy()
    verdicts = subject.note(event(), START)
    assert [(d.action, d.reason) for d in verdicts.decisions] == [(Action.SUPPRESS, Reason.HISTORY)]
    assert not verdicts.dispatches
    assert describe(subject.state) == {}


def test_an_escalation_is_silenced_too_and_the_episode_is_still_known() -> None:
    subject = policy()
    subject.decide(event(), START)
    silence = Silence(id="s", created_ms=START, until_ms=START + HOUR_MS)
    worse = event(severity=Severity.CRITICAL, phase=Phase.UPDATED, revision=1)
    verdicts = subject.decide(worse, START + 1, [silence])
    assert [(d.action, d.reason) for d in verdicts.decisions] == [(Action.SUPPRESS, Reason.SILENCED)]
    assert not verdicts.dispatches
    later = event(severity=Severity.CRITICAL, phase=Phase.UPDATED, revision=2)
    assert reasons(subject, (later, START + 2 * HOUR_MS)) == [(Action.SEND, Reason.ESCALATED)]


def test_what_ends_inside_its_burst_is_told_there_as_over() -> None:
    subject = policy(burst_count=2, burst_seconds=30)
    for number, symbol in enumerate(("BTC/USDT", "ETH/USDT", "SOL/USDT")):
        subject.decide(event(symbol, started=START + number), START + number)
    over = event("SOL/USDT", phase=Phase.CLOSED, started=START + 2, revision=1)
    assert reasons(subject, (over, START + 10)) == [(Action.HOLD, Reason.BURST)]
    (told,) = subject.tick(START + 31_000).dispatches
    assert told.event.data["count"] == 2
    assert describe(subject.state)["chat"]["held"] == 0


def test_a_digest_that_waits_is_looked_at_each_hour_and_counts_what_it_has_no_room_for() -> None:
    subject = policy(digest=True, digest_hour_utc=8)
    day = START // DAY_MS * DAY_MS
    assert subject.due_ms(day + 1) is None
    for number in range(DIGEST_LIMIT + 5):
        subject.decide(event(f"S{number}/USDT", Severity.INFO, started=day + number), day + number)
    assert subject.due_ms(day + HOUR_MS + 1) == day + 2 * HOUR_MS
    (sent,) = subject.tick(day + 8 * HOUR_MS).dispatches
    assert sent.event.data["count"] == DIGEST_LIMIT + 5
