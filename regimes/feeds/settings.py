"""What the operator decides about venues: one table of names, defaults, rules and words."""

from typing import Annotated, Final, Literal
from urllib.parse import urlsplit

from pydantic import BaseModel, BeforeValidator, ConfigDict, Field, SecretStr, field_validator

SpotVenue = Literal["binanceus", "binance", ""]
DerivativesVenue = Literal["binanceusdm", ""]

_URL_SCHEMES: Final = ("http://", "https://")


def _whole(value: object) -> object:
    """Environment variables are text."""
    return int(value) if isinstance(value, str) and value.isdecimal() else value


class VenuesSettings(BaseModel):
    """Where data comes from, and how patient the service is with it."""

    model_config = ConfigDict(frozen=True, extra="forbid", validate_default=True)

    spot: SpotVenue = Field(
        default="binanceus",
        description="Exchange for candles and order book: binanceus, binance, or empty for none "
        "(candles and book then come from the derivatives venue).",
    )
    derivatives: DerivativesVenue = Field(
        default="binanceusdm",
        description="Exchange for liquidations, funding, mark price and open interest: binanceusdm, "
        "or empty for none (these signals are then reported as unavailable).",
    )
    spot_url: str = Field(
        default="",
        description="Base URL that replaces every host of the spot venue, such as a mirror "
        "(http://127.0.0.1:8080); empty means the exchange itself.",
    )
    derivatives_url: str = Field(
        default="",
        description="Base URL that replaces every host of the derivatives venue; empty means the exchange itself.",
    )
    proxy: SecretStr | None = Field(
        default=None,
        description="Forward proxy that every request and stream goes through, such as "
        "http://user:password@proxy:3128; special characters of user and password percent-encoded. "
        "HTTP_PROXY and HTTPS_PROXY are not heeded.",
    )
    api_key: SecretStr | None = Field(
        default=None, description="API key; public market data needs none (BINANCE_API_KEY)."
    )
    secret: SecretStr | None = Field(
        default=None, description="Secret of the API key; public market data needs none (BINANCE_SECRET)."
    )
    stale_candles_seconds: float = Field(
        default=120.0,
        gt=0,
        le=3600,
        description="Seconds without any candle update before that connection is dialled again; "
        "lower = faster repair, more redials on quiet markets.",
    )
    stale_mark_price_seconds: float = Field(
        default=15.0,
        gt=0,
        le=600,
        description="Seconds without any mark price before that connection is dialled again. Mark prices come every "
        "second, so liquidations, which may rightly be silent, are judged by them.",
    )
    subscribe_timeout_seconds: float = Field(
        default=10.0,
        gt=0,
        le=60,
        description="Seconds to wait for a connection, and for the answer to a subscription, before dialling again.",
    )
    keep_alive_seconds: float = Field(
        default=15.0,
        gt=0,
        le=180,
        description="Seconds between websocket pings; two unanswered ones end the connection.",
    )
    reconnect_max_seconds: float = Field(
        default=30.0,
        gt=0,
        le=600,
        description="Longest wait between two attempts to reconnect, in seconds; attempts start at about 0.5 s and double.",
    )
    rotate_after_hours: float = Field(
        default=23.5,
        gt=0,
        lt=24,
        description="Hours after which a connection is replaced by a fresh one before the exchange drops it at 24 h.",
    )
    max_streams_per_connection: int = Field(
        default=200, ge=2, le=200, description="Streams on one websocket; the exchange allows 200."
    )
    rest_weight_per_minute: int = Field(
        default=1000,
        ge=20,
        le=100_000,
        description="Request weight a minute spent at each venue at most (Binance.US allows 1,200, USD-M 2,400); "
        "lower = slower warm-up, more room for other programs behind the same address.",
    )
    rest_timeout_seconds: float = Field(
        default=10.0, gt=0, le=120, description="Seconds to wait for the answer to one REST request."
    )
    rest_wait_max_seconds: float = Field(
        default=65.0,
        ge=0,
        le=3600,
        description="Longest rate-limit pause a REST request waits out, in seconds; when the exchange asks for more, "
        "the last good data is used instead.",
    )
    rest_concurrency: int = Field(
        default=8, ge=1, le=64, description="REST requests under way at once during warm-up and back-fill."
    )
    candle_grace_seconds: float = Field(
        default=20.0,
        gt=0,
        le=600,
        description="Seconds after the end of an hour before a closed bar that did not come is asked for by REST.",
    )
    funding_delay_seconds: float = Field(
        default=20.0,
        gt=0,
        le=600,
        description="Seconds after a funding time before the settled rate is asked for; asked again until it is there.",
    )
    open_interest_seconds: float = Field(
        default=60.0,
        ge=1,
        le=3600,
        description="Seconds between two readings of a symbol's open interest (longer with many symbols: "
        "at most a tenth of the request weight is spent on it).",
    )
    depth_seconds: float = Field(
        default=15.0,
        ge=1,
        le=3600,
        description="Seconds between two snapshots of a symbol's order book (longer with many symbols: "
        "at most a quarter of the request weight is spent on it).",
    )
    depth_levels: Annotated[Literal[100, 500, 1000], BeforeValidator(_whole)] = Field(
        default=500,
        description="Price levels in a snapshot of the order book; more = walls further away are seen.",
    )
    clock_check_minutes: float = Field(
        default=10.0,
        gt=0,
        le=1440,
        description="Minutes between two comparisons of this machine's clock with the exchange's.",
    )

    @field_validator("spot_url", "derivatives_url")
    @classmethod
    def _base_url(cls, value: str) -> str:
        if value and not value.startswith(_URL_SCHEMES):
            raise ValueError(f"must start with http:// or https:// (got {value!r})")
        return value.rstrip("/")

    @field_validator("proxy")
    @classmethod
    def _proxy_url(cls, value: SecretStr | None) -> SecretStr | None:
        url = "" if value is None else value.get_secret_value()
        if not url:
            return None
        parts = urlsplit(url)
        try:
            sound = parts.scheme in {"http", "https"} and bool(parts.hostname) and parts.port is not None
        except ValueError:
            sound = False
        if not sound:
            # Not what was given: it may hold a password.
            raise ValueError(
                "must be http://host:port, with user and password before the host if it asks for them"
            )
        return value
