import pytest

from regimes.narrative.checking import Amount, Fault, amounts, fault

FACTS = (
    "ASSET_A: volatility has gone from STABLE to HIGH_VOL, 3.10 % over the last 24 h, 1.55x its 30-day usual. "
    "5.0 M USD of liquidations seen, funding is -0.0120 %, up to 500,000 USD/h."
)


def said(text: str) -> Fault | None:
    return fault(f"ASSET_A: {text}", FACTS)


@pytest.mark.parametrize(
    "text",
    [
        "volatility went from STABLE to HIGH_VOL at 3.10 % over 24 h.",
        "it moved 3.1 percent in 24 hours, 1.55 times its 30-day usual.",
        "5.0 M USD of liquidations, up to 500,000 USD/h.",
        "5 million USD of liquidations were seen.",
        "funding is \u22120.0120 %.",
    ],
)
def test_the_same_numbers_in_other_words_pass(text: str) -> None:
    assert said(text) is None


@pytest.mark.parametrize(
    "text",
    [
        "volatility is 3.2 %.",
        "volatility is 31 %.",
        "5.0 B USD of liquidations were seen.",
        "5.0 k USD of liquidations were seen.",
        "funding is +0.0120 %.",
        "volatility is 24 %.",
        "it rose 3.10x.",
        "two symbols are concerned.",
        "it is twice its usual.",
        "it has doubled.",
        "a dozen liquidations were seen.",
        "it rose by \u0663 %.",
        "it rose by \u00bd.",
        "it rose by \u2462 steps.",
        "volatility is 3.10 %, up from 1.4-2.1 %.",
        "it is far from zero.",
    ],
)
def test_a_number_that_is_not_in_the_facts_is_refused(text: str) -> None:
    assert said(text) is Fault.NUMBERS


@pytest.mark.parametrize(
    "text",
    [
        "volatility is HIGH_VOL because of the Fed.",
        "you should buy now.",
        "the price will rise.",
        "this is EXTREME.",
        "volatility is HIGH_VOL, says Binance.",
        "the ETF flows made it HIGH_VOL.",
    ],
)
def test_advice_forecasts_causes_and_names_are_refused(text: str) -> None:
    assert said(text) is Fault.WORDS


@pytest.mark.parametrize(
    "text",
    [
        "see https://example.com",
        "<b>HIGH_VOL</b>",
        "[here](x)",
        "`HIGH_VOL`",
        "volatility\nis HIGH_VOL",
        "ASSET_B is calm.",
        "volatility " * 200,
        "volatility \u202eis high",
    ],
)
def test_what_has_the_wrong_form_is_refused(text: str) -> None:
    assert said(text) is Fault.FORM


def test_words_that_do_not_say_whom_they_are_about_are_refused() -> None:
    assert fault("Volatility is HIGH_VOL.", FACTS) is Fault.FORM
    assert fault("", FACTS) is Fault.FORM


def test_numbers_are_read_with_their_scale_and_unit() -> None:
    found = [
        (amount.sign, float(amount.size), amount.kind)
        for amount in amounts("-1,234.50 % and 5.0 M USD in 24 h, 2x")
    ]
    assert found == [("-", 1234.5, "%"), ("", 5e6, ""), ("", 24.0, "h"), ("", 2.0, "x")]
    assert list(amounts("no number")) == list[Amount]()
