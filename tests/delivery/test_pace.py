from hypothesis import given, strategies as st

from regimes.delivery.pace import Pace, Rate

RATES = (Rate(1, 1.0), Rate(20, 60.0))


@given(st.lists(st.tuples(st.floats(0, 5), st.floats(0, 2)), min_size=1, max_size=80))
def test_sends_that_wait_as_told_never_exceed_any_rate(steps: list[tuple[float, float]]) -> None:
    pace, now = Pace(RATES), 0.0
    ends: list[float] = []
    for idle_s, took_s in steps:
        now += idle_s
        now += pace.wait_s(now)
        assert pace.wait_s(now) < 1e-6
        pace.begin(now)
        assert all(now - end >= 1.0 - 1e-6 for end in ends)
        assert sum(now - end < 60.0 - 1e-6 for end in ends) <= 19
        began, now = now, now + took_s
        pace.end(began, now)
        ends.append(now)


def test_two_endpoints_of_one_chat_wait_for_each_other() -> None:
    pace = Pace([Rate(1, 1.0)])
    pace.begin(10.0)
    assert pace.wait_s(10.25) == 0.75
    pace.end(10.0, 10.5)
    assert pace.wait_s(10.75) == 0.75


def test_without_rates_there_is_no_wait() -> None:
    pace = Pace([])
    for moment in range(100):
        pace.begin(float(moment))
        assert pace.wait_s(float(moment)) == 0
