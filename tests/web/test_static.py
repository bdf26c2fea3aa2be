import gzip
import os
import re
from pathlib import Path

from regimes.commands.demo import inbox
from regimes.web.static import PAGE_FILES, Assets, folder


def site(folder: Path) -> Path:
    root = folder / "static"
    (root / "vendor").mkdir(parents=True)
    (root / "index.html").write_text("<!doctype html><p>home" + " " * 500)
    (root / "app.js").write_text("export const a = 1;")
    (root / "icon.bin").write_bytes(os.urandom(500))
    (root / "vendor" / "charts.js").write_text("export {};")
    (folder / "secret.txt").write_text("secret")
    (root / "link.txt").symlink_to(folder / "secret.txt")
    return root


def test_a_page_has_an_address_of_its_own(tmp_path: Path) -> None:
    assets = Assets(site(tmp_path))
    page = assets.get("/")
    assert page is not None
    assert page == assets.get("/index.html")
    assert page.content_type == "text/html"
    assert page.gzipped is not None
    assert gzip.decompress(page.gzipped) == page.body
    assert assets.get("/realtime") is None


def test_types_and_caching_are_right_for_each_kind(tmp_path: Path) -> None:
    assets = Assets(site(tmp_path))
    script, binary, vendor = (assets.get(path) for path in ("/app.js", "/icon.bin", "/vendor/charts.js"))
    assert script is not None
    assert binary is not None
    assert vendor is not None
    assert (script.content_type, script.cache_control) == ("text/javascript", "no-cache")
    assert (binary.content_type, binary.gzipped) == ("application/octet-stream", None)
    assert vendor.cache_control == "public, max-age=604800"


def test_our_scripts_are_sent_shortened_and_foreign_or_unclear_ones_as_they_are(tmp_path: Path) -> None:
    root = site(tmp_path)
    (root / "app.js").write_text("// why\nif (a) {\n  b();\n}")
    (root / "unclear.js").write_text("// why\nif (a) /b/.test(c);")
    (root / "vendor" / "charts.js").write_text("  // as it came")
    assets = Assets(root)
    sent = [assets.get(path) for path in ("/app.js", "/unclear.js", "/vendor/charts.js")]
    assert [asset and asset.body for asset in sent] == [
        b"\nif (a) {\nb();\n}",
        b"// why\nif (a) /b/.test(c);",
        b"  // as it came",
    ]


def test_what_is_outside_the_folder_is_not_served_by_any_name(tmp_path: Path) -> None:
    assets = Assets(site(tmp_path))
    for path in (
        "/link.txt",
        "/../secret.txt",
        "/vendor/../../secret.txt",
        str(tmp_path / "secret.txt"),
        "/vendor",
        "",
    ):
        assert assets.get(path) is None, path


def test_a_file_that_changes_is_read_again_and_one_that_goes_is_gone(tmp_path: Path) -> None:
    root = site(tmp_path)
    assets = Assets(root)
    first = assets.get("/app.js")
    (root / "app.js").write_text("export const a = 2;")
    os.utime(root / "app.js", ns=(1, 1))
    second = assets.get("/app.js")
    assert first is not None
    assert second is not None
    assert (second.body, second.etag != first.etag) == (b"export const a = 2;", True)
    (root / "app.js").unlink()
    assert assets.get("/app.js") is None


PACE = re.compile(r' *<label><span class="name">Update every</span>.*?</label>\n', re.DOTALL)
OWN_LINK = re.compile(r' *<li><a href="/demo/inbox".*?</li>\n')


def test_every_page_has_the_same_bar_with_its_own_link_marked() -> None:
    files = {path: folder() / name for path, name in PAGE_FILES.items()} | {
        "/demo/inbox": Path(inbox.__file__).with_name("page") / "inbox.html"
    }
    bars = set()
    for path, file in files.items():
        bar = file.read_text(encoding="utf-8").partition("<header")[2].partition("</header>")[0]
        marked = f'<a href="{path}" aria-current="page">'
        assert bar.count("aria-current") == bar.count(marked) == 1
        bars.add(OWN_LINK.sub("", PACE.sub("", bar)).replace(' aria-current="page"', ""))
    assert len(bars) == 1


def test_no_folder_is_no_files(tmp_path: Path) -> None:
    assert Assets(tmp_path / "nowhere").get("/") is None
