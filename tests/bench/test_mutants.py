import ast
from pathlib import Path

from bench.mutants import ROOMS, ROOT, mutants, sources, touching

SOURCE = '''def f(a: int, b: int) -> bool:
    """Words are left alone."""
    return a < b and a + 1 > -b
'''


def test_each_mutant_changes_one_thing_and_is_a_program(tmp_path: Path) -> None:
    path = tmp_path / "one.py"
    path.write_text(SOURCE)
    found = list(mutants(path))
    assert {(one.before, one.after) for one in found} == {
        ("a < b and a + 1 > -b", "a < b or a + 1 > -b"),
        ("a < b", "a <= b"),
        ("a + 1 > -b", "a + 1 >= -b"),
        ("a + 1", "a - 1"),
        ("1", "2"),
        ("-b", "+b"),
    }
    plain = ast.unparse(ast.parse(SOURCE))
    for one in found:
        assert ast.unparse(ast.parse(one.source)) == one.source != plain
        assert one.source.count("Words are left alone.") == 1


def test_there_is_something_to_change_in_every_room_and_its_tests_exist() -> None:
    for where, tests in ROOMS.values():
        assert sum(len(list(mutants(path))) for path in sources(ROOT / where)) > 50
        assert all((ROOT / test).exists() for test in tests)


def test_the_tests_of_a_change_are_its_own_and_those_of_what_uses_it() -> None:
    touched = ["tests/maths/test_burst.py", "tests/features/liquidation_cascade"]
    assert touching(ROOT / "regimes/maths/burst.py", ROOMS["maths"][1]) == touched
    where, tests = ROOMS["policy"]
    assert touching(ROOT / where, tests) == tests
