from hypothesis import given, strategies as st

from regimes.windows.coverage import MOST_GAPS, Coverage

BTC, ALL = "BTC/USDT", "ALL"
SPAN = 1000
NOW = 1000


def coverage() -> Coverage:
    return Coverage(SPAN, frozenset({BTC, "ETH/USDT"}), ALL)


def test_nothing_is_observed_before_the_first_tick_or_before_a_venue_shows_itself() -> None:
    seen = coverage()
    seen.gap("x", None, -1000, 0)
    assert seen.view(BTC, 500).observed_ms == 0
    seen = coverage()
    seen.begin(0)
    assert seen.view(BTC, 500).observed_ms == 0


def test_the_gap_before_the_subscription_is_not_observed() -> None:
    seen = coverage()
    seen.begin(5000)
    seen.gap("x", None, 4000, 5100)
    assert seen.view(BTC, 5300).observed_ms == 200
    assert seen.view(BTC, 9000).observed_ms == SPAN


def test_an_open_gap_grows_until_its_end_is_known() -> None:
    seen = coverage()
    seen.begin(0)
    seen.gap("x", None, 600, None)
    assert seen.view(BTC, NOW).blind
    assert seen.view(BTC, 800).observed_ms == 600
    assert seen.view(BTC, 900).observed_ms == 600
    seen.gap("x", None, 600, 850)
    assert not seen.view(BTC, NOW).blind
    assert seen.view(BTC, 900).observed_ms == 650


def test_a_gap_of_one_symbol_touches_that_symbol_and_the_market() -> None:
    seen = coverage()
    seen.begin(0)
    seen.gap("x", BTC, 100, 300)
    seen.gap("x", "PEPE/USDT", 400, None)
    assert seen.view(BTC, 1000).observed_ms == 800
    assert seen.view("ETH/USDT", 1000).observed_ms == 1000
    assert seen.view(ALL, 1000).observed_ms == 200
    assert seen.view(ALL, NOW).blind
    assert not seen.view(BTC, NOW).blind


def test_two_venues_count_equally() -> None:
    seen = coverage()
    seen.begin(0)
    seen.gap("x", None, 0, 500)
    seen.gap("y", None, -10, 0)
    assert seen.view(BTC, 1000).observed_ms == 750
    seen.lacks("x", BTC)
    assert seen.view(BTC, 1000).observed_ms == 1000


def test_a_venue_without_the_data_makes_it_unavailable_unless_another_has_it() -> None:
    seen = coverage()
    assert seen.view(BTC, NOW).available
    seen.lacks("x", None)
    assert not seen.view(BTC, NOW).available
    assert not seen.view(ALL, NOW).available
    seen.gap("y", None, -10, 0)
    assert seen.view(BTC, NOW).available
    seen.lacks("y", BTC)
    assert not seen.view(BTC, NOW).available
    assert seen.view(ALL, NOW).available


@given(st.lists(st.tuples(st.integers(-50, 250), st.integers(1, 90)), max_size=12), st.integers(0, 300))
def test_overlapping_gaps_are_counted_once(gaps: list[tuple[int, int]], now: int) -> None:
    seen = Coverage(100, frozenset({BTC}), ALL)
    seen.begin(0)
    seen.seen("x")
    for start, length in gaps:
        seen.gap("x", None, start, start + length)
    missed = {ms for start, length in gaps for ms in range(start, start + length)}
    assert seen.view(BTC, now).observed_ms == len(set(range(max(0, now - 100), now)) - missed)


def test_gaps_without_number_are_bounded_and_never_make_more_seem_observed() -> None:
    seen = Coverage(10**6, frozenset({BTC}), ALL)
    seen.begin(0)
    for index in range(2 * MOST_GAPS):
        seen.gap("x", None, index * 100, index * 100 + 40 + index % 7)
    true = 10**6 - sum(40 + index % 7 for index in range(2 * MOST_GAPS))
    assert len(seen.snapshot()["closed"][0][2]) == MOST_GAPS
    assert 0 < seen.view(BTC, 10**6).observed_ms <= true


def test_gaps_that_left_the_span_are_forgotten() -> None:
    seen = coverage()
    seen.begin(0)
    seen.gap("x", None, 0, 10)
    seen.expire(1010)
    assert seen.snapshot()["closed"] == []


def test_a_restored_coverage_is_the_same() -> None:
    seen = coverage()
    seen.begin(0)
    seen.gap("x", None, 10, 20)
    seen.gap("x", BTC, 15, None)
    seen.lacks("y", None)
    other = coverage()
    other.restore(seen.snapshot())
    assert other.snapshot() == seen.snapshot()
    assert other.view(BTC, 30).observed_ms == seen.view(BTC, 30).observed_ms == 10
