import os
from pathlib import Path

import pytest

from regimes.commands.doctor import alerts, disk as doctor
from regimes.commands.doctor.finding import Finding
from regimes.config import Settings, load
from regimes.delivery.endpoints import parse_endpoints
from regimes.delivery.settings import DeliverySettings
from tests.commands.conftest import ENDPOINT
from tests.delivery.harness import DISCORD, DISCORD_KEY, LOOPBACK, SLACK, TELEGRAM
from tests.delivery.receivers import Receiver, says

KEY = "hidden-part-of-a-url"


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


async def reached(*urls: str, bases: dict[str, str] | None = None) -> list[Finding]:
    endpoints = parse_endpoints({"ALL": ",".join(urls)}, bases=bases)
    return await alerts.endpoints(endpoints, DeliverySettings(allow_cidrs=LOOPBACK, timeout_seconds=1))


async def test_endpoints_are_reached_without_being_sent_a_message() -> None:
    async with Receiver().serving() as receiver:
        bases = dict.fromkeys(("discord", "telegram", "slack"), receiver.base)
        found = await reached(DISCORD, TELEGRAM, SLACK, f"{receiver.base}/{KEY}", bases=bases)
    assert [finding.verdict for finding in found] == ["ok"] * 4
    assert {(seen.method, seen.body) for seen in receiver.seen} == {("GET", b""), ("HEAD", b"")}
    assert any(seen.path.endswith("/getChat") and seen.query == {"chat_id": "-100"} for seen in receiver.seen)
    assert "test-webhooks --endpoint http-all-1" in found[3].remedy
    assert KEY not in repr(found)
    assert DISCORD_KEY not in repr(found)


@pytest.mark.parametrize(
    ("url", "status", "verdict"),
    [
        (DISCORD, 404, "wrong"),
        (TELEGRAM, 401, "wrong"),
        (DISCORD, 503, "warning"),
        (SLACK, 405, "ok"),
        (DISCORD, 429, "ok"),
    ],
)
async def test_a_receiver_that_does_not_know_us_is_wrong(url: str, status: int, verdict: str) -> None:
    async with Receiver().serving() as receiver:
        receiver.script = [says(status)]
        bases = dict.fromkeys(("discord", "telegram", "slack"), receiver.base)
        (finding,) = await reached(url, bases=bases)
    assert finding.verdict == verdict
    assert str(status) in finding.words


async def test_a_receiver_that_cannot_be_reached_is_wrong_and_says_what_to_do() -> None:
    refused, metadata = await reached("http://127.0.0.1:9/x", "http://169.254.169.254/latest")
    assert (refused.verdict, refused.words) == ("wrong", "cannot connect")
    assert metadata.verdict == "wrong"
    assert "never allowed" in metadata.words
    (none,) = await alerts.endpoints((), DeliverySettings())
    assert none.verdict == "warning"
    assert "WEBHOOKS_ALL" in none.remedy


async def test_a_database_that_is_not_there_yet_is_not_made(tmp_path: Path) -> None:
    url = f"sqlite:///{tmp_path / 'none.db'}"
    (finding,) = await alerts.database(settings(tmp_path, DB_URL=url), ())
    assert finding.verdict == "ok"
    assert not os.listdir(tmp_path)  # noqa: PTH208  # blocking or not makes no difference here


async def test_a_database_tells_what_was_given_up_and_who_is_disabled(tmp_path: Path, parked: None) -> None:
    given = settings(tmp_path, DB_URL=f"sqlite:///{tmp_path / 'local.db'}")
    contents, disabled = await alerts.database(given, (ENDPOINT,))
    assert (contents.verdict, disabled.verdict) == ("warning", "warning")
    assert "0 deliveries waiting, 1 given up" in contents.words
    assert disabled.words == "disabled: HTTP 410"
    assert "regimes endpoints enable http-all-1" in disabled.remedy


async def test_a_database_that_cannot_be_used_is_wrong(tmp_path: Path) -> None:
    (tmp_path / "broken.db").write_text("this is no database, whatever its name says" * 100)
    for url, words in (
        (f"sqlite:///{tmp_path / 'broken.db'}", "is not a SQLite database"),
        ("postgresql://user:hunter22@127.0.0.1:1/x", "cannot be reached"),
        ("mysql://user:hunter22@h/x", "DB_URL must be"),
    ):
        (finding,) = await alerts.database(settings(tmp_path, DB_URL=url), ())
        assert finding.verdict == "wrong"
        assert words in finding.words
        assert "hunter22" not in repr(finding)
