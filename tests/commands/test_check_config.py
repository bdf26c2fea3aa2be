import pytest

from regimes.errors import ConfigError
from tests.commands.conftest import Cli
from tests.delivery.harness import SIGNING_TEXT

DISCORD = "https://discord.com/api/webhooks/123456789012345678/" + "hidden-token-" * 5


def test_endpoints_are_shown_by_name_and_the_database_without_its_password(cli: Cli) -> None:
    done = cli(
        "check-config",
        WEBHOOKS_CASCADE=DISCORD,
        WEBHOOKS_ALL=f"https://example.com/hidden-path,{DISCORD}",
        WEBHOOK_SECRET=SIGNING_TEXT,
        DB_URL="postgresql://user:hidden-password@db.example.com/regimes",
    )
    assert done.exit_code == 0, done.exception
    rows = [line.split() for line in done.stdout.splitlines()]
    assert ["discord-cascade-1", "discord", "ALL,", "CASCADE", "WARNING", "no"] in rows
    assert ["http-all-1", "http", "ALL", "WARNING", "yes"] in rows
    assert "Database: PostgreSQL database regimes at db.example.com:5432" in done.stdout
    assert "hidden" not in done.output
    assert "whsec_" not in done.output


def test_several_servers_of_a_database_are_shown_without_their_password(cli: Cli) -> None:
    done = cli("check-config", DB_URL="postgresql://user:hid,den@one:6432,two/regimes")
    assert done.exit_code == 0, done.exception
    assert "Database: PostgreSQL database regimes at one:6432, two:5432," in done.stdout
    assert "den@" not in done.output


def test_a_local_database_and_no_endpoint_are_said_too(cli: Cli) -> None:
    done = cli("check-config")
    assert "Database: SQLite database local.db" in done.stdout
    assert "set WEBHOOKS_ALL" in done.stdout


@pytest.mark.parametrize(
    ("variables", "words"),
    [
        ({"WEBHOOKS_ALL": "https://discord.com/hidden"}, "WEBHOOKS_ALL: URL 1: a Discord webhook is"),
        ({"WEBHOOK_SECRET": "whsec_hidden"}, "WEBHOOK_SECRET: must"),
        (
            {"REGIMES__DELIVERY__ALLOW_CIDRS": "everything"},
            "delivery.allow_cidrs: 'everything' is no network",
        ),
        (
            {"REGIMES__DELIVERY__FALLBACK": "nobody"},
            "delivery.fallback: no endpoint 'nobody'; there are none",
        ),
        (
            {"WEBHOOKS_ALL": "https://api.telegram.org/hidden"},
            "URL 1: Telegram is https://api.telegram.org/bot",
        ),
        ({"WEBHOOKS_ALL": "https://hooks.slack.com/hidden"}, "URL 1: a Slack incoming webhook is"),
        ({"WEBHOOKS_ALL": "http://h/1, http://[hidden/x"}, "WEBHOOKS_ALL: URL 2: is no URL"),
        ({"WEBHOOKS_ALL": "hidden-no-url"}, "WEBHOOKS_ALL: URL 1: has no scheme"),
        ({"DB_URL": "hidden"}, "DB_URL must be"),
        ({"DB_URL": "postgresql://u:hidden[@h:x/y"}, "DB_URL must be"),
    ],
)
def test_a_mistake_about_delivery_or_database_is_found_before_the_start(
    cli: Cli, variables: dict[str, str], words: str
) -> None:
    done = cli("check-config", **variables)
    assert isinstance(done.exception, ConfigError)
    assert words in str(done.exception)
    assert "hidden" not in str(done.exception)
