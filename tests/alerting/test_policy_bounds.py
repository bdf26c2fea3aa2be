"""The policy at the very moment at which an answer changes, and what its messages carry there."""

import pytest

from regimes.alerting.records import Action, Reason
from regimes.events import Phase, Severity
from regimes.timeframe import DAY_MS, HOUR_MS

from .test_policy import START, event, policy, reasons

BURST_MS = 30_000
HELD = [(Action.HOLD, Reason.BURST)]
SENT = [(Action.SEND, Reason.OPENED)]


def test_an_episode_is_known_for_fourteen_days_and_then_forgotten() -> None:
    subject = policy()
    subject.decide(event(), START)
    subject.tick(START + 14 * DAY_MS - 1)
    assert subject.state.endpoints["chat"].sent
    subject.tick(START + 14 * DAY_MS)
    assert not subject.state.endpoints["chat"].sent


@pytest.mark.parametrize(("hours", "severity"), [(0, Severity.CRITICAL), (6, Severity.WARNING)])
def test_nothing_is_repeated_unless_it_is_critical_and_repeats_are_wanted(
    hours: int, severity: Severity
) -> None:
    subject = policy(repeat_hours=hours)
    subject.decide(event(severity=severity), START)
    assert subject.due_ms(START) is None
    assert not any(subject.tick(START + hour * HOUR_MS).dispatches for hour in range(50))


def test_a_critical_that_changes_is_repeated_as_if_it_had_just_been_told() -> None:
    subject = policy(repeat_hours=6)
    subject.decide(event(severity=Severity.CRITICAL), START)
    (reminder,) = subject.tick(START + 6 * HOUR_MS).dispatches
    (edit,) = subject.decide(
        event(severity=Severity.CRITICAL, phase=Phase.UPDATED, revision=1), START + 7 * HOUR_MS
    ).dispatches
    assert (reminder.edit, reminder.reminder, edit.edit, edit.reminder) == (False, 1, True, 0)
    assert subject.due_ms(START + 7 * HOUR_MS) == START + 12 * HOUR_MS
    assert not subject.tick(START + 12 * HOUR_MS - 1).dispatches
    (again,) = subject.tick(START + 12 * HOUR_MS).dispatches
    assert again.reminder == 1


def test_a_first_message_and_its_end_are_no_reminders() -> None:
    subject = policy()
    (first,) = subject.decide(event(), START).dispatches
    (last,) = subject.decide(event(phase=Phase.CLOSED, revision=1), START + 1).dispatches
    assert (first.edit, first.reminder) == (False, 0)
    assert (last.edit, last.reminder) == (True, 0)


def test_a_burst_counts_what_opened_within_its_seconds_and_not_what_opened_just_before() -> None:
    for at, answer in ((START + BURST_MS - 1, HELD), (START + BURST_MS, SENT)):
        subject = policy(burst_count=4)
        for number in range(3):
            subject.decide(event(f"S{number}/USDT"), START)
        late = event("S3/USDT", started=at)
        verdicts = subject.decide(late, at)
        assert [(d.action, d.reason) for d in verdicts.decisions] == answer
        if answer == HELD:
            assert verdicts.decisions[0].words == "4 LIQUIDATION_CASCADE within 30 s"
            assert subject.due_ms(at) == START + BURST_MS
            assert subject.due_ms(START + BURST_MS) is None
            (summary,) = subject.tick(START + BURST_MS).dispatches
            assert (summary.edit, summary.event.started_ms, summary.event.ts_ms) == (
                False, START, START + BURST_MS,
            )  # fmt: skip


def test_after_a_burst_its_symbols_cool_down_and_it_counts_as_one_message() -> None:
    subject = policy(burst_count=2, cooldown_minutes=60)
    for number in range(3):
        subject.decide(event(f"S{number}/USDT"), START)
    subject.tick(START + BURST_MS)
    assert subject.state.endpoints["chat"].messages == [START, START + BURST_MS]
    again = event("S2/USDT", started=START + HOUR_MS)
    assert reasons(subject, (again, START + HOUR_MS)) == [(Action.SUPPRESS, Reason.COOLDOWN)]
    until = START + BURST_MS + HOUR_MS
    assert reasons(subject, (event("S2/USDT", started=until), until)) == SENT


def test_what_cools_down_says_what_was_sent_when_and_until_when() -> None:
    subject = policy(cooldown_minutes=60)
    subject.decide(event(), START)
    (held,) = subject.decide(event(started=START + 1), START + 1).decisions
    assert held.words == ("WARNING was sent at 2024-08-05T00:00:00Z; cooldown until 2024-08-05T01:00:00Z")


def test_the_cap_looks_back_for_a_day_and_says_so_once_a_day() -> None:
    subject = policy(daily_cap=1)
    subject.decide(event("S0/USDT"), START)
    held = subject.decide(event("S1/USDT"), START + HOUR_MS)
    assert [d.reason for d in held.decisions] == [Reason.DAILY_CAP, Reason.CAP_NOTICE]
    assert [d.edit for d in held.dispatches] == [False]
    assert held.decisions[0].words == "1 messages in 24 h >= 1"
    assert reasons(subject, (event("S2/USDT"), START + DAY_MS - 1)) == [(Action.SUPPRESS, Reason.DAILY_CAP)]
    assert reasons(subject, (event("S3/USDT"), START + DAY_MS)) == SENT
    noticed = START + HOUR_MS + DAY_MS
    assert reasons(subject, (event("S4/USDT"), noticed - 1)) == [(Action.SUPPRESS, Reason.DAILY_CAP)]
    assert reasons(subject, (event("S5/USDT"), noticed)) == [
        (Action.SUPPRESS, Reason.DAILY_CAP),
        (Action.SEND, Reason.CAP_NOTICE),
    ]


def test_without_a_cap_any_number_is_sent() -> None:
    subject = policy(daily_cap=0)
    hours = range(20)
    turns = [(event(f"S{n}/USDT", started=START + n * HOUR_MS), START + n * HOUR_MS) for n in hours]
    assert reasons(subject, *turns) == SENT * len(turns)


def test_what_no_longer_matters_is_forgotten_at_once_and_not_before() -> None:
    subject = policy(cooldown_minutes=60, burst_count=9)
    subject.decide(event(), START)
    memory = subject.state.endpoints["chat"]
    for at, recent, last, messages in (
        (START + BURST_MS - 1, 1, 1, 1),
        (START + BURST_MS, 0, 1, 1),
        (START + HOUR_MS - 1, 0, 1, 1),
        (START + HOUR_MS, 0, 0, 1),
        (START + DAY_MS - 1, 0, 0, 1),
        (START + DAY_MS, 0, 0, 0),
    ):
        subject.tick(at)
        assert (len(memory.recent), len(memory.last), len(memory.messages)) == (recent, last, messages)


def test_an_empty_digest_is_waited_for_by_nobody() -> None:
    subject = policy(digest=True)
    subject.decide(event(), START)
    assert subject.due_ms(START) is None


def test_a_digest_leaves_at_its_hour_names_two_hundred_and_counts_the_rest() -> None:
    subject = policy(digest=True, digest_hour_utc=8)
    day = START // DAY_MS * DAY_MS
    for number in range(203):
        subject.decide(event(f"S{number}/USDT", Severity.INFO, started=day + number), day + number)
    assert subject.due_ms(day + HOUR_MS) == day + 2 * HOUR_MS
    (digest,) = subject.tick(day + 8 * HOUR_MS).dispatches
    assert (digest.edit, digest.event.ts_ms) == (False, day + 8 * HOUR_MS)
    assert (digest.event.data["count"], len(digest.event.data["events"])) == (203, 200)
    subject.decide(event("NEW/USDT", Severity.INFO, started=day), day + 9 * HOUR_MS)
    (tomorrow,) = subject.tick(day + 32 * HOUR_MS).dispatches
    assert tomorrow.event.data["count"] == 1
