import doctest

import pytest
from hypothesis import given, strategies as st

from regimes import wording

AMOUNTS = st.floats(min_value=-1e13, max_value=1e13)


def test_the_examples_in_the_docstrings_hold() -> None:
    assert doctest.testmod(wording).failed == 0
    assert doctest.testmod(wording).attempted > 8


@pytest.mark.parametrize(
    ("amount", "text"),
    [
        (0.0, "0 USD"),
        (-0.4, "0 USD"),
        (999.4, "999 USD"),
        (999.6, "1.0 k USD"),
        (99_949, "99.9 k USD"),
        (99_950, "100 k USD"),
        (999_499, "999 k USD"),
        (999_500, "1.0 M USD"),
        (1.5e12, "1,500 B USD"),
        (-2_500_000, "-2.5 M USD"),
    ],
)
def test_a_unit_is_left_before_it_shows_a_thousand_of_itself(amount: float, text: str) -> None:
    assert wording.usd(amount) == text


@given(AMOUNTS)
def test_short_money_is_within_five_percent_of_the_amount(amount: float) -> None:
    number, *unit = wording.usd(amount).removesuffix(" USD").split()
    shown = float(number.replace(",", "")) * {"": 1, "k": 1e3, "M": 1e6, "B": 1e9}["".join(unit)]
    assert shown == pytest.approx(amount, rel=0.051, abs=0.5)


@given(AMOUNTS, st.integers(0, 6))
def test_a_number_that_shows_as_zero_has_no_sign(value: float, digits: int) -> None:
    for text in (wording.signed(value, digits), wording.ratio(value, digits).removesuffix("x")):
        if not float(text.replace(",", "")):
            assert text[0] == "0"


@given(st.floats(min_value=1e-9, max_value=1e9))
def test_a_price_keeps_five_significant_digits(value: float) -> None:
    assert float(wording.price(value).replace(",", "")) == pytest.approx(value, rel=6e-5)
