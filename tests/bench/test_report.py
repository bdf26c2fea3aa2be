import io
import platform

import pytest
from rich.console import Console

from bench.report import Aim, Report, Result, machine, markdown, show
from bench.timing import in_turn


def table(*results: Result) -> str:
    console = Console(file=io.StringIO(), width=120)
    show(Report(name="some", title="thing", results=results, notes=["read me"]), console)
    assert isinstance(console.file, io.StringIO)
    return console.file.getvalue()


@pytest.mark.parametrize(("ours", "passed"), [(14.9, True), (15.0, True), (15.1, False)])
def test_an_aim_is_an_upper_bound(ours: float, *, passed: bool) -> None:
    assert Result(what="a", unit="ms", ours=ours, aim=Aim(15)).passed is passed


@pytest.mark.parametrize(("ours", "passed"), [(3.0, True), (3.1, False)])
def test_an_aim_may_be_a_multiple_of_a_peer(ours: float, *, passed: bool) -> None:
    result = Result(what="a", unit="us", ours=ours, peers={"bare": 2.0}, aim=Aim(1.5, "bare"))
    assert result.passed is passed


def test_without_an_aim_nothing_is_passed_or_missed() -> None:
    shown = table(Result(what="a", unit="us", ours=1.0))
    assert "pass" not in shown
    assert "missed" not in shown


def test_the_table_has_ratio_aim_and_machine() -> None:
    shown = table(Result(what="a", unit="us", ours=3.0, peers={"bare": 2.0}, aim=Aim(1.0, "bare")))
    for words in ("3.00 us", "2.00 (1.50x)", "<= 1x bare", "missed", "cores", "Python", "read me"):
        assert words in shown


def test_a_peer_of_zero_has_no_ratio() -> None:
    assert "x)" not in table(Result(what="lost", unit="%", ours=0.0, peers={"bare": 0.0}, aim=Aim(0)))


def test_ways_take_turns_and_the_first_round_does_not_count() -> None:
    calls: list[str] = []
    seconds = in_turn({"a": lambda: calls.append("a"), "b": lambda: calls.append("b")}, rounds=2)
    assert calls == ["a", "b"] * 3
    assert seconds.keys() == {"a", "b"}


def test_markdown_has_one_row_a_result_and_the_notes() -> None:
    results = [
        Result(what="a", unit="us", ours=3.0, peers={"bare": 2.0}, aim=Aim(1.0, "bare")),
        Result(what="  of which b", unit="us", ours=1.0),
    ]
    lines = markdown(Report(name="some", title="thing", results=results, notes=["read me"])).splitlines()
    assert "### some" in lines
    assert "| a | 3.00 us | 2.00 (1.50x) | <= 1x bare | missed |" in lines
    assert "| of which b | 1.00 us |  |  |  |" in lines
    assert "- read me" in lines


def test_the_machine_is_told_without_its_name() -> None:
    assert platform.node() not in machine() or not platform.node()
    assert platform.python_version() in machine()
