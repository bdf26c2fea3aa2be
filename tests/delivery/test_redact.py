import io
import json

import structlog
from hypothesis import given, strategies as st

from regimes.delivery.redact import MASK, Redactor

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
        ["p&ss w/rd?"], urls=["https://user:hunter22@example.com/a/0123456789abcdef0?key=s3cr3t%2Bkey"]
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
    assert Redactor(["secret-one"], urls=[DISCORD])(text) == text


def test_log_lines_are_masked_with_their_exceptions_and_nested_values() -> None:
    lines = io.StringIO()
    log = structlog.wrap_logger(
        structlog.PrintLogger(lines),
        processors=[
            structlog.processors.format_exc_info,
            Redactor(urls=[DISCORD]).processor,
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
