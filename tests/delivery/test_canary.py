import logging
import sqlite3
from contextlib import closing
from pathlib import Path

import pytest
import structlog

from tests.delivery.harness import (
    DISCORD,
    DISCORD_KEY,
    SIGNING_TEXT,
    SLACK,
    SLACK_PATH,
    TELEGRAM,
    TELEGRAM_KEY,
    nth_event,
    opened,
    running,
)
from tests.delivery.receivers import (
    DiscordLike,
    Receiver,
    SlackLike,
    TelegramLike,
    babble,
    raw_server,
    reset,
    says,
)

HTTP_KEY = "cAnArY-http-path-0123456789"
SECRETS = (
    DISCORD_KEY,
    TELEGRAM_KEY,
    SLACK_PATH.rsplit("/", 1)[1],
    HTTP_KEY,
    SIGNING_TEXT.removeprefix("whsec_"),
)


def rows_of(path: Path) -> str:
    with closing(sqlite3.connect(path)) as database:
        return "\n".join(database.iterdump())


async def test_no_secret_appears_in_log_lines_database_or_errors_whatever_fails(
    tmp_path: Path, capfd: pytest.CaptureFixture[str], caplog: pytest.LogCaptureFixture
) -> None:
    caplog.set_level(logging.DEBUG)
    structlog.reset_defaults()
    discord, telegram, slack, http = DiscordLike(), TelegramLike(pause_s=0), SlackLike(), Receiver()
    async with (
        opened(tmp_path) as storage,
        discord.serving(),
        telegram.serving(),
        slack.serving(),
        http.serving(),
        raw_server(reset) as resetting,
        raw_server(babble) as babbling,
    ):
        hosts = [
            http.base,
            f"http://127.0.0.1:{resetting}",
            f"http://127.0.0.1:{babbling}",
            f"https://127.0.0.1:{resetting}",
        ]
        urls = {
            "ALL": ",".join(
                [DISCORD, TELEGRAM, SLACK, *(f"{host}/{HTTP_KEY}?key={HTTP_KEY}" for host in hosts)]
            )
        }
        bases = {"discord": discord.base, "telegram": telegram.base, "slack": slack.base}
        discord.script = [
            says(429, {"retry_after": 0.05, "message": DISCORD}),
            says(404, {"message": DISCORD}),
        ]
        telegram.script = [says(400, {"description": TELEGRAM}), says(403, {"description": TELEGRAM})]
        slack.script = [says(500, SLACK.encode()), says(302, Location=SLACK)]
        http.script = [http.hang, says(410, HTTP_KEY.encode())]
        async with running(storage, urls, bases=bases, timeout_s=0.4) as work:
            for number in range(2):
                for name in work.endpoints:
                    await work.post(name, nth_event(number))
            # Discord, Telegram and Slack answer 4 to 5 times; each broken host fails until its breaker opens.
            await storage.until_settled(20)
            shown = repr([*work.endpoints.values(), work.outbox.status(), work.office.disabled])
        attempts = repr(storage.settled)
        assert len({a.endpoint for a in storage.settled}) == len(work.endpoints)
    printed = capfd.readouterr()
    places = {
        "standard output": printed.out,
        "standard error": printed.err,
        "log": caplog.text,
        "database": rows_of(tmp_path / "outbox.db"),
        "reprs": shown,
        "attempts": attempts,
    }
    assert "not_delivered" in printed.out
    for place, text in places.items():
        for secret in SECRETS:
            assert secret.lower() not in text.lower(), f"{place} shows {secret}"
