import io
import json

import pytest
import structlog
from hypothesis import given, strategies as st
from pydantic import BaseModel, SecretStr

from regimes.redact import MASK, Redactor, secrets_in

DISCORD = "https://discord.com/api/webhooks/123456789012345678/cAnArY-discord_token-cAnArY-0123456789"
TELEGRAM = "https://api.telegram.org/bot123456789:AAcanary-telegram_token-canary0123456/sendMessage"
SLACK = "https://hooks.slack.com/services/T00CANARY/B00CANARY/canaryslacktoken0123456789"


def test_every_shape_of_webhook_url_is_masked_though_nobody_configured_it() -> None:
    redact = Redactor()
    for url in (
        DISCORD,
        DISCORD.replace("discord.com/api", "ptb.discordapp.com/api/v9"),
        TELEGRAM,
        SLACK,
        DISCORD + "/messages/1?wait=true",
    ):
        text = redact(f"failed: {url}, trying again")
        assert "canary" not in text.lower()
        assert MASK in text
        assert text.startswith("failed: ")


def test_the_path_alone_and_the_bare_token_are_masked_too() -> None:
    redact = Redactor()
    for url in (DISCORD, TELEGRAM, SLACK):
        path = url.split("/", 3)[3]
        assert "canary" not in redact(f"POST /{path} 404").lower()
    assert "canary" not in redact("token 123456789:AAcanary-telegram_token-canary0123456").lower()


def test_configured_secrets_are_masked_in_every_spelling() -> None:
    redact = Redactor(
        ["p&ss w/rd?", "https://user:hunter22@example.com/a/0123456789abcdef0?key=s3cr3t%2Bkey"]
    )
    for text in (
        "p&ss w/rd?",
        "p%26ss%20w/rd%3F",
        "p%26ss%20w%2Frd%3F",
        "hunter22",
        "0123456789abcdef0",
        "s3cr3t+key",
        "s3cr3t%2Bkey",
    ):
        assert redact(f"<{text}>") == f"<{MASK}>"


def test_a_password_in_any_url_is_masked() -> None:
    assert redact_line("postgresql://bob:sesame@db/x") == f"postgresql://{MASK}@db/x"


def redact_line(text: str) -> str:
    return Redactor()(text)


@given(st.text(min_size=6, max_size=40).filter(lambda text: text.strip("*")), st.text(max_size=40))
def test_a_configured_secret_never_survives_whatever_it_is_made_of(secret: str, around: str) -> None:
    masked = Redactor([secret])(f"{around}{secret}{around}")
    if secret not in MASK * 3 and secret not in around and secret not in around + around:
        assert secret not in masked.replace(MASK, "\0")


def test_plain_words_and_numbers_stay() -> None:
    text = "BTC/USDT cascade: 5.0 M USD at 15:01:00, ids 123456 evt_0123456789abcdef"
    assert Redactor(["secret-one", DISCORD])(text) == text


def test_log_lines_are_masked_with_their_exceptions_and_nested_values() -> None:
    lines = io.StringIO()
    log = structlog.wrap_logger(
        structlog.PrintLogger(lines),
        processors=[
            structlog.processors.format_exc_info,
            Redactor([DISCORD]).processor,
            structlog.processors.JSONRenderer(),
        ],
    )
    try:
        raise ValueError(f"cannot connect to {DISCORD}")  # noqa: TRY301
    except ValueError:
        log.exception("failed", tried=[{"url": DISCORD}], error=ValueError(DISCORD), count=3)
    line = lines.getvalue()
    assert "canary" not in line.lower()
    assert json.loads(line)["count"] == 3
    assert "ValueError" in line


def test_every_secret_of_a_model_is_found_however_deep() -> None:
    class Inner(BaseModel):
        key: SecretStr | None = SecretStr("one")
        none: SecretStr | None = None

    class Outer(BaseModel):
        inner: Inner = Inner()
        token: SecretStr = SecretStr("two")

    assert set(secrets_in(Outer())) == {"one", "two"}


@pytest.mark.parametrize(
    ("text", "masked"),
    [
        ("GET /x?signature=deadbeef&n=1", f"GET /x?signature={MASK}&n=1"),
        ('{"api_key": "abcdefgh", "n": 1}', f'{{"api_key": "{MASK}", "n": 1}}'),
        ("Authorization: Bearer abc.def", f"Authorization: Bearer {MASK}"),
        ("password = hunter22, user = bob", f"password = {MASK}, user = bob"),
    ],
)
def test_what_a_name_calls_a_secret_is_masked_though_nobody_configured_it(text: str, masked: str) -> None:
    assert Redactor()(text) == masked


def test_a_value_under_a_name_that_sounds_like_a_secret_is_masked_whatever_it_is() -> None:
    line = {"event": "refused", "headers": {"X-Api-Key": 12345678}, "webhook_secret": ["a", "b"], "n": 1}
    shown = Redactor().processor(None, "info", dict(line))
    assert shown == {"event": "refused", "headers": {"X-Api-Key": MASK}, "webhook_secret": MASK, "n": 1}


def test_each_url_of_a_list_is_masked_by_itself() -> None:
    redact = Redactor(["https://example.com/hook/aaaaaaaaaaaaaaaaa, ntfy://a-topic-nobody-guesses/x"])
    for text in ("aaaaaaaaaaaaaaaaa", "a-topic-nobody-guesses", "https://example.com/hook/aaaaaaaaaaaaaaaaa"):
        assert redact(f"to {text}!") == f"to {MASK}!"


def test_a_database_is_named_but_its_password_is_not() -> None:
    redact = Redactor(["postgresql://bob:ses@me1@db.example.com/regimes?sslpassword=hush"])
    text = "PostgreSQL database regimes at db.example.com:5432: user bob, ses@me1, hush"
    assert redact(text) == f"PostgreSQL database regimes at db.example.com:5432: user bob, {MASK}, {MASK}"
    redact = Redactor(["postgresql://bob:ses,me1@one:1,two:2/regimes?target_session_attrs=read-write"])
    text = "PostgreSQL database regimes at one:1, two:2 takes read-write"
    assert redact(f"{text}: ses,me1") == f"{text}: {MASK}"
    assert Redactor(["sqlite:///local.db"])("SQLite database local.db") == "SQLite database local.db"
