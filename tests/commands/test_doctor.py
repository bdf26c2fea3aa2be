from pathlib import Path

import pytest

from regimes.commands.doctor import disk as doctor
from regimes.config import Settings, load


def settings(folder: Path, **variables: str) -> Settings:
    return load(environ=variables, folder=folder)


def test_a_cache_folder_that_cannot_be_made_is_wrong(tmp_path: Path) -> None:
    (tmp_path / "file").write_text("in the way")
    found = list(
        doctor.disk(settings(tmp_path, REGIMES__STORAGE__CACHE_DIR=str(tmp_path / "file" / "cache")))
    )
    assert [finding.verdict for finding in found] == ["wrong"]
    assert "name another folder" in found[0].remedy


def test_a_full_disk_is_a_warning(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(doctor, "FREE_MB", 10**12)
    found = list(doctor.disk(settings(tmp_path, REGIMES__STORAGE__CACHE_DIR=str(tmp_path / "cache"))))
    assert [finding.verdict for finding in found] == ["warning"]
    assert "MB free" in found[0].words


def test_the_folder_of_the_log_is_looked_at_when_there_is_one(tmp_path: Path) -> None:
    variables = {
        "LOG_FILE": str(tmp_path / "log" / "x.log"),
        "REGIMES__STORAGE__CACHE_DIR": str(tmp_path / "c"),
    }
    found = list(doctor.disk(settings(tmp_path, **variables)))
    assert [(finding.subject, finding.verdict) for finding in found] == [
        ("cache folder", "ok"),
        ("log folder", "ok"),
    ]
    assert not list((tmp_path / "log").iterdir())
