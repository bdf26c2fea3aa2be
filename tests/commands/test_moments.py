import pytest

from regimes.commands.moments import moment_ms, span_ms

NOW_MS = 1_738_000_000_000


@pytest.mark.parametrize(
    ("text", "ms"),
    [("90s", 90_000), ("30m", 1_800_000), (" 4h ", 14_400_000), ("1.5d", 129_600_000), ("2w", 1_209_600_000)],
)
def test_a_span_is_a_number_and_its_unit(text: str, ms: int) -> None:
    assert span_ms(text) == ms


@pytest.mark.parametrize("text", ["", "4", "h", "4 h", "-4h", "0h", "0.0001s", "4y", "4h30m", "9999999h"])
def test_what_is_no_span_is_refused_with_an_example(text: str) -> None:
    with pytest.raises(ValueError, match="like 90s, 30m, 4h"):
        span_ms(text)


@pytest.mark.parametrize(
    ("text", "ms"),
    [
        ("2025-01-27T13:00Z", 1_737_982_800_000),
        ("2025-01-27T14:00+01:00", 1_737_982_800_000),
        ("2025-01-27T13:00", 1_737_982_800_000),
        ("2025-01-27", 1_737_936_000_000),
        ("4h", NOW_MS - 14_400_000),
    ],
)
def test_a_moment_is_a_time_in_utc_or_so_long_ago(text: str, ms: int) -> None:
    assert moment_ms(text, NOW_MS) == ms


@pytest.mark.parametrize("text", ["yesterday", "", "13:00", "2025-13-01"])
def test_what_is_no_moment_is_refused_with_an_example(text: str) -> None:
    with pytest.raises(ValueError, match="like 2025-01-27T13:00Z"):
        moment_ms(text, NOW_MS)
