"""Files put together from modules: the same programs, in fewer requests. Browser tests run what is made of them."""

import re
from pathlib import Path

import pytest

from regimes.web.bundle import ALONE, TOGETHER, Bundles
from regimes.web.static import PAGE_FILES, Assets, folder

SOURCES = {
    "bar": 'import { cost } from "./words.js";\nexport function startPage() {\n  return cost(1);\n}',
    "cards": 'import { cost } from "./words.js";\nexport const card = () => cost(2);\nexport class Pile {}',
    "waiting": "export async function whenReady() {}",
    "dialog": "export const ask = 1;",
    "words": "export const cost = (many) => many;\nconst hidden = 1;",
    "dashboard": 'import { ask as question } from "./dialog.js";\nimport { EventStream } from "./events.js";\nquestion();',
    "events": 'import { card } from "./cards.js";\nexport class EventStream {}\nimport("./later.js");',
    "grids": "export const grid = 1;",
    "line-worker": 'import { cost } from "./words.js";\nself.cost = cost;',
}
WORDS = "const $words = (() => {\nconst cost = (many) => many;\nconst hidden = 1;\nreturn { cost };\n})();"


def text(name: str) -> str:
    bundles = Bundles(SOURCES)
    return bundles.text(name, {part: SOURCES[part] for part in bundles.parts(name)})


def test_a_file_holds_what_it_imports_before_what_imports_it_each_in_a_scope_of_its_own() -> None:
    sent = text("bar")
    assert sent.startswith(WORDS)
    assert "const $bar = (() => {\nconst { cost } = $words;\nfunction startPage() {" in sent
    assert "return { card, Pile };" in sent
    assert "async function whenReady() {}\nreturn { whenReady };" in sent
    assert sent.endswith(
        "export { $words, $bar, $cards, $waiting, $dialog };\nexport const { startPage } = $bar;\n"
    )


def test_what_another_file_holds_is_taken_from_there_and_what_comes_later_is_left_where_it_is() -> None:
    sent = text("dashboard")
    assert sent.startswith('import { $cards, $dialog } from "./bar.js";\n')
    assert "const { ask: question } = $dialog;" in sent
    assert 'import("./later.js");' in sent
    assert "$words" not in sent


def test_a_module_inside_a_file_still_has_its_address_and_is_the_same_one_there() -> None:
    assert text("words") == 'import { $words } from "./bar.js";\nexport const { cost } = $words;\n'


def test_what_runs_outside_the_page_has_all_it_needs_in_itself() -> None:
    sent = text("line-worker")
    assert sent.startswith(WORDS)
    assert "import" not in sent


def test_a_folder_with_other_modules_sends_them_as_they_are() -> None:
    bundles = Bundles({"app": "export const a = 1;"})
    assert bundles.parts("app") == ("app",)
    assert bundles.text("app", {"app": "export const a = 1;"}) == "export const a = 1;"


@pytest.mark.parametrize("page", PAGE_FILES.values())
def test_a_page_asks_at_once_for_all_files_that_it_needs_and_for_no_other(page: str) -> None:
    html = (folder() / page).read_text(encoding="utf-8")
    asked = re.findall(r'modulepreload" href="/js/([\w-]+)\.js"', html)
    needed, todo = set(), re.findall(r'module" src="/js/([\w-]+)\.js"', html)
    assets = Assets(folder())
    while todo:
        needed.add(name := todo.pop())
        asset = assets.get(f"/js/{name}.js")
        assert asset is not None
        todo += re.findall(r'^import .* from "\./([\w-]+)\.js"', asset.body.decode(), re.MULTILINE)
    assert sorted(asked) == sorted(needed)


def test_every_module_of_ours_is_in_one_file_and_has_no_form_that_is_not_understood() -> None:
    names = {path.stem for path in (folder() / "js").glob("*.js")}
    sources = {name: (folder() / "js" / f"{name}.js").read_text(encoding="utf-8") for name in names}
    bundles = Bundles(sources)
    held = [part for name in TOGETHER for part in bundles.parts(name)]
    assert sorted(held) == sorted(names - ALONE)
    assets = Assets(folder())
    for name in names:
        asset = assets.get(f"/js/{name}.js")
        assert asset is not None
        sent = asset.body.decode()
        inside = "\n".join(
            re.findall(r"^const \$\w+ = \(\(\) => \{$(.*?)^\}\)\(\);$", sent, re.MULTILINE | re.DOTALL)
        )
        assert not re.search(r"^(import\s|export\s)", inside, re.MULTILINE), name


def test_a_file_is_put_together_again_when_one_of_its_modules_changed(tmp_path: Path) -> None:
    (tmp_path / "js").mkdir()
    for name, source in SOURCES.items():
        (tmp_path / "js" / f"{name}.js").write_text(source)
    assets = Assets(tmp_path)
    before = assets.get("/js/bar.js")
    (tmp_path / "js" / "words.js").write_text("export const cost = (many) => 2 * many;")
    after = assets.get("/js/bar.js")
    assert before is not None
    assert after is not None
    assert b"2 * many" in after.body
    assert before.etag != after.etag
