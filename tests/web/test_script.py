from pathlib import Path

import pytest

from regimes.commands.demo import inbox
from regimes.web.script import UnclearError, shortened
from regimes.web.static import folder

SCRIPTS = [
    *folder().glob("*.js"),
    *folder().glob("js/*.js"),
    *Path(inbox.__file__).with_name("page").glob("*.js"),
]


@pytest.mark.parametrize(
    ("source", "left"),
    [
        ("a(); // why\nb();", "a(); \nb();"),
        ("  /** What. */\n  a();\n\n\tb();", "  \na();\n\nb();"),
        ("a /* one\n two */ b", "a \n b"),
        ("return/* x */a", "return a"),
        ("x = \"// no\" + '/* no */  ';", "x = \"// no\" + '/* no */  ';"),
        (r"x = 'it\'s // no'; // yes", r"x = 'it\'s // no'; "),
        ("x = `  // no\n  ${ a  }  /* no */`; // yes", "x = `  // no\n  ${ a }  /* no */`; "),
        ("x = `${ a ? ` (${ {b: 1}.b  })  ` : ''  }  `;", "x = `${ a ? ` (${ {b: 1}.b })  ` : '' }  `;"),
        ("x = `\\`  // no ${'a'}`", "x = `\\`  // no ${'a'}`"),
        (r"x = /\/\/ ['\"`/]  +/g; // yes", r"x = /\/\/ ['\"`/]  +/g; "),
        ("return /  a/.test(b)", "return /  a/.test(b)"),
        ("x = a / b / c; // yes", "x = a / b / c; "),
        ("x = (a) / b; // yes", "x = (a) / b; "),
        ("x = a[0] / 'b' / `c`.length; // yes", "x = a[0] / 'b' / `c`.length; "),
        ("x = a + +b - -c", "x = a + +b - -c"),
    ],
)
def test_only_what_is_no_part_of_the_program_goes(source: str, left: str) -> None:
    assert shortened(source) == left


@pytest.mark.parametrize(
    "source", ["if (a) /b/.test(c)", "{}\n/b/.test(c)", "a++ / b", "'open", "`open", "`${open", "x = /open"]
)
def test_what_could_be_read_in_two_ways_is_refused(source: str) -> None:
    with pytest.raises(UnclearError):
        shortened(source)


@pytest.mark.parametrize("script", SCRIPTS, ids=lambda script: script.name)
def test_each_of_our_scripts_is_clear_and_keeps_its_lines(script: Path) -> None:
    source = script.read_text(encoding="utf-8")
    short = shortened(source)
    assert len(short) < len(source)
    assert short.count("\n") == source.count("\n")
