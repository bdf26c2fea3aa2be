import pytest

from regimes.commands.running import ExitCode
from regimes.commands.selftest.check import Check, run
from regimes.commands.selftest.examples import checks
from regimes.commands.selftest.run import execute

pytestmark = pytest.mark.usefixtures("logging_as_before")


@pytest.mark.parametrize("check", checks(), ids=lambda check: f"{check.component}: {check.name}")
def test_every_worked_example_comes_out_as_documented(check: Check) -> None:
    result = run(check)
    assert result.passed, result


@pytest.mark.parametrize(
    ("found", "expected", "passed"),
    [
        (1.0, 1.0, True),
        (1.0 + 1e-12, 1.0, True),
        (1.1, 1.0, False),
        (1, 1.0, False),
        (None, 0.0, False),
        ("a", "b", False),
    ],
)
def test_a_check_passes_only_with_the_value_and_type_it_wants(
    found: str | float | None, expected: str | float | None, *, passed: bool
) -> None:
    assert run(Check("c", "n", lambda: found, expected)).passed is passed


def test_an_error_fails_its_check_in_words() -> None:
    result = run(Check("c", "n", lambda: 1 / 0, 1.0))
    assert not result.passed
    assert result.found == "ZeroDivisionError: division by zero"


@pytest.mark.parametrize(("part", "number"), [("storage", 5), ("webhooks", 10)])
def test_a_part_can_be_checked_by_itself(part: str, number: int, capsys: pytest.CaptureFixture[str]) -> None:
    assert execute(part, full=False, verbose=False) is ExitCode.OK
    assert f"{number} of {number} checks passed" in capsys.readouterr().out


def test_one_wrong_value_fails_the_self_test_and_shows_it(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    wrong = Check("funding", "two and two", lambda: 4.0, 5.0)
    monkeypatch.setattr("regimes.commands.selftest.run.checks", lambda: [*checks(), wrong])
    assert execute("funding", full=False, verbose=False) is ExitCode.CHECK_FAILED
    out = capsys.readouterr().out
    assert "failed" in out
    assert "4 (not 5)" in out
