import msgspec
from hypothesis import given, strategies as st

from regimes.delivery.breaker import FAILURES_TO_OPEN, FIRST_OPEN_MS, LONGEST_OPEN_MS, Breaker, BreakerPhase


def after_failures(number: int, now_ms: int = 0) -> Breaker:
    breaker = Breaker()
    for _ in range(number):
        breaker = breaker.failed(now_ms)
    return breaker


def test_it_opens_at_the_fifth_failure_in_a_row_and_not_before() -> None:
    assert after_failures(FAILURES_TO_OPEN - 1).phase(0) is BreakerPhase.CLOSED
    assert after_failures(FAILURES_TO_OPEN).phase(0) is BreakerPhase.OPEN


def test_a_success_between_failures_starts_the_count_again() -> None:
    breaker = after_failures(FAILURES_TO_OPEN - 1).succeeded().failed(0)
    assert breaker.phase(0) is BreakerPhase.CLOSED


def test_open_lets_nothing_through_half_open_one_probe_closed_all_workers() -> None:
    breaker = after_failures(FAILURES_TO_OPEN)
    assert breaker.slots(FIRST_OPEN_MS - 1, under_way=0, workers=8) == 0
    assert breaker.phase(FIRST_OPEN_MS) is BreakerPhase.HALF_OPEN
    assert breaker.slots(FIRST_OPEN_MS, under_way=0, workers=8) == 1
    assert breaker.slots(FIRST_OPEN_MS, under_way=1, workers=8) == 0
    assert breaker.succeeded().slots(FIRST_OPEN_MS, under_way=3, workers=8) == 5


def test_each_failed_probe_doubles_the_time_up_to_a_quarter_of_an_hour() -> None:
    breaker, now_ms, times = after_failures(FAILURES_TO_OPEN), 0, []
    for _ in range(8):
        assert breaker.open_until_ms is not None
        times.append(breaker.open_until_ms - now_ms)
        now_ms = breaker.open_until_ms
        breaker = breaker.failed(now_ms)
    assert times[:5] == [30_000, 60_000, 120_000, 240_000, 480_000]
    assert times[5:] == [LONGEST_OPEN_MS] * 3


def test_failures_that_were_under_way_when_it_opened_do_not_lengthen_it() -> None:
    breaker = after_failures(FAILURES_TO_OPEN)
    assert breaker.failed(5).open_until_ms == breaker.open_until_ms


def test_parked_stays_parked_whatever_older_requests_answer() -> None:
    breaker = Breaker().parked(7, "HTTP 404")
    for later in (breaker.succeeded(), breaker.failed(10**9), breaker.parked(8, "other")):
        assert later == breaker
    assert breaker.phase(10**12) is BreakerPhase.PARKED


@given(st.lists(st.tuples(st.sampled_from(["ok", "bad", "park"]), st.integers(0, 10**6)), max_size=40))
def test_stored_and_read_again_at_any_point_it_goes_on_the_same(steps: list[tuple[str, int]]) -> None:
    kept = stored = Breaker()
    now_ms = 0
    for what, passed_ms in steps:
        now_ms += passed_ms
        read_again = msgspec.json.decode(msgspec.json.encode(stored), type=Breaker)
        kept, stored = advanced(kept, what, now_ms), advanced(read_again, what, now_ms)
        assert kept == stored
        assert 0 <= kept.slots(now_ms, under_way=0, workers=4) <= 4


def advanced(breaker: Breaker, what: str, now_ms: int) -> Breaker:
    match what:
        case "ok":
            return breaker.succeeded()
        case "bad":
            return breaker.failed(now_ms)
        case _:
            return breaker.parked(now_ms, "HTTP 404")
