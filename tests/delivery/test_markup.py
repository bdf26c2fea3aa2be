import msgspec
import pytest
from hypothesis import given, strategies as st

from regimes.alerting.message import Link
from regimes.delivery import markup
from tests.delivery.messages import message, texts


@given(texts)
def test_utf16_units_are_what_an_encoder_counts(text: str) -> None:
    assert markup.utf16_units(text) == len(text.encode("utf-16-le", "surrogatepass")) // 2


@given(texts)
def test_clean_text_can_be_encoded_and_has_no_controls_and_is_never_blank_in_disguise(text: str) -> None:
    cleaned = markup.clean(text)
    cleaned.encode()
    assert not any(char < " " and char != "\n" for char in cleaned)
    assert cleaned == cleaned.strip()
    assert markup.clean(cleaned) == cleaned


@pytest.mark.parametrize("text", ["", " ", "\u200b", "\n\t", "\u2063\u00ad", "\ufeff \u202e"])
def test_text_that_shows_nothing_becomes_empty(text: str) -> None:
    assert markup.clean(text) == ""


def ampersands(text: str) -> list[str]:
    return [char.replace("&", "&amp;") for char in text]


def test_marks_that_turn_text_around_are_taken_out() -> None:
    assert markup.clean("BTC\u202eTDSU/\u202c") == "BTCTDSU/"


@given(texts.map(markup.clean), st.integers(0, 200))
def test_what_is_cut_fits_and_is_a_whole_beginning_with_an_ellipsis(text: str, units: int) -> None:
    fitted = markup.fit(text, units, ampersands)
    assert markup.utf16_units(fitted) <= units
    plain = fitted.replace("&amp;", "&")
    assert text == plain or text.startswith(plain.removesuffix(markup.ELLIPSIS))


def test_a_cut_never_leaves_half_an_escape() -> None:
    assert markup.fit("&&&", 11, ampersands) == "&amp;&amp;…"
    assert markup.fit("&&&", 10, ampersands) == "&amp;…"
    assert markup.fit("&&", 10, ampersands) == "&amp;&amp;"


@pytest.mark.parametrize(
    ("url", "kept"),
    [
        ("https://example.com/a(b)?x=<1>|2", "https://example.com/a%28b%29?x=%3C1%3E%7C2"),
        ("javascript:alert(1)", None),
        ("http://", None),
        ("not a url", None),
        ("https://user:secret@example.com/", "https://example.com/"),
        ("https://[::1", None),
    ],
)
def test_only_web_addresses_become_links_and_none_ends_its_markup_early(url: str, kept: str | None) -> None:
    found = markup.links(msgspec.structs.replace(message(), links=(Link("a", url),)))
    assert found == ([] if kept is None else [("a", kept)])


@pytest.mark.parametrize(
    ("url", "opens"),
    [
        ("https://example.com/x", True),
        ("http://192.168.1.5:8000/", True),
        ("http://localhost:8000/", False),
        ("http://127.0.0.1:8000/", False),
        ("http://0.0.0.0:8000/", False),
        ("http://[::1]:8000/", False),
        ("http://dashboard:8000/", False),
        ("http://box.local/", False),
    ],
)
def test_a_phone_opens_neither_this_machine_nor_a_bare_name(url: str, opens: bool) -> None:  # noqa: FBT001
    assert markup.is_open_to_phones(url) is opens


def test_lateness_reminder_burst_and_test_are_told() -> None:
    told = msgspec.structs.replace(
        message(data={"is_test": True}), late_ms=12 * 60_000, reminder=1, suppressed=4, why="a >= b"
    )
    assert markup.notes(told) == [
        "Why: a >= b",
        "Reminder: it is still going on.",
        "Stands for 4 more events.",
        "Sent 12 min late.",
        "This is a test; nothing happened in the market.",
    ]
    assert "TEST" in markup.headline(told)


def test_the_headline_begins_with_severity_or_the_end() -> None:
    marks = [markup.headline(message(severity=name))[0] for name in ("INFO", "WARNING", "CRITICAL")]
    assert marks == ["🔵", "🟠", "🔴"]
    assert markup.headline(message(phase="closed")).startswith("✅")
