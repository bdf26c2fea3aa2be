"""Section `[web]` of the configuration."""

import ipaddress
from typing import Annotated, Self

from pydantic import AfterValidator, BaseModel, ConfigDict, Field, SecretStr, model_validator

DEFAULT_PORT = 8000
SHORTEST_TOKEN = 16


def is_loopback(host: str) -> bool:
    """Whether only this machine can reach a server that listens there."""
    if host == "localhost":
        return True
    try:
        return ipaddress.ip_address(host).is_loopback
    except ValueError:
        return False


def _token(value: SecretStr | None) -> SecretStr | None:
    text = value.get_secret_value() if value is not None else None
    if text is not None and (len(text) < SHORTEST_TOKEN or not text.isascii() or not text.isprintable()):
        raise ValueError(
            f"a token has at least {SHORTEST_TOKEN} printable ASCII characters, such as `openssl rand -hex 24` gives"
        )
    return value


def _network(values: tuple[str, ...]) -> tuple[str, ...]:
    for value in values:
        ipaddress.ip_network(value)
    return values


Token = Annotated[SecretStr | None, AfterValidator(_token)]


class WebSettings(BaseModel):
    """The dashboard, the JSON API, the event stream and the metrics: where they listen and who may see them."""

    model_config = ConfigDict(frozen=True, extra="forbid", validate_default=True)

    enabled: bool = Field(default=True, description="Whether the service has a web server at all.")
    host: str = Field(
        default="127.0.0.1",
        min_length=1,
        description="Address to listen on. Any other than this machine's own (127.0.0.1, ::1, localhost) needs a token.",
    )
    port: int = Field(
        default=DEFAULT_PORT,
        ge=0,
        le=65535,
        description="TCP port to listen on; 0 = any free one, told in the log (PORT).",
    )
    token: Token = Field(
        default=None,
        description="Password of the dashboard and bearer token of the API (DASHBOARD_TOKEN); without one everybody who "
        "can reach the address may read and write.",
    )
    metrics_token: Token = Field(
        default=None,
        description="Bearer token that may read /metrics and nothing else; without one /metrics is as open as the API.",
    )
    allow_anonymous_read: bool = Field(
        default=False,
        description="Whether everybody may read without a token. Silences, replays and tests still need one; without "
        "a token they are then off.",
    )
    allowed_hosts: tuple[str, ...] = Field(
        default=(),
        description="Names under which browsers may reach the server, such as regimes.example.com; localhost and plain "
        "addresses always may. Others are refused, which keeps foreign pages from reaching it by a name of their own.",
    )
    trusted_proxies: Annotated[tuple[str, ...], AfterValidator(_network)] = Field(
        default=(),
        description="Networks of reverse proxies, such as 10.0.0.0/8, whose X-Forwarded-For and X-Forwarded-Proto are "
        "believed.",
    )
    session_days: float = Field(
        default=30, gt=0, le=365, description="Days after which a browser has to sign in again."
    )
    max_streams: int = Field(
        default=1_000,
        ge=1,
        le=50_000,
        description="Event streams that may be open at once; more get an answer to come back later.",
    )

    @model_validator(mode="after")
    def _closed_to_strangers(self) -> Self:
        if (
            self.enabled
            and not is_loopback(self.host)
            and self.token is None
            and not self.allow_anonymous_read
        ):
            raise ValueError(
                f"host {self.host} can be reached by others, so a token is needed: set DASHBOARD_TOKEN, "
                "or web.allow_anonymous_read = true to let everybody read"
            )
        return self
