"""Section `[delivery]` of the configuration."""

from collections.abc import Mapping
from typing import Final

from pydantic import BaseModel, ConfigDict, Field, SecretStr

ROUTES: Final = ("CASCADE", "FUNDING", "VOLATILITY", "CORRELATION", "REGIME", "ADMIN", "ALL")


def _urls(what: str, route: str) -> SecretStr | None:
    description = (
        f"Comma-separated webhook URLs for {what} (WEBHOOKS_{route}). Discord, Telegram and Slack are recognised "
        "by their URL; the rest gets the event as JSON."
    )
    field: SecretStr | None = Field(default=None, description=description)
    return field


class DeliverySettings(BaseModel):
    """How messages leave; one table that gives default, rule, unit and words."""

    model_config = ConfigDict(frozen=True, extra="forbid", validate_default=True)

    webhooks_all: SecretStr | None = _urls("every event", "ALL")
    webhooks_cascade: SecretStr | None = _urls("liquidation cascades", "CASCADE")
    webhooks_funding: SecretStr | None = _urls("funding anomalies and reversals", "FUNDING")
    webhooks_volatility: SecretStr | None = _urls("volatility regimes", "VOLATILITY")
    webhooks_regime: SecretStr | None = _urls("regime shifts", "REGIME")
    webhooks_correlation: SecretStr | None = _urls("correlation breaks and leadership", "CORRELATION")
    webhooks_admin: SecretStr | None = _urls(
        "what concerns the service itself; without any it goes to WEBHOOKS_ALL", "ADMIN"
    )
    webhook_secret: SecretStr | None = Field(
        default=None,
        description="Secret that signs what HTTP endpoints get, `whsec_...` (WEBHOOK_SECRET); two separated by a comma "
        "while it is changed, the new one first; without one bodies are not signed.",
    )
    timeout_seconds: float = Field(
        default=5.0,
        gt=0,
        le=60,
        description="Seconds a receiver has for everything, from its name to the last byte; lower = a slow one is given "
        "up and tried again sooner.",
    )
    chat_expiry_minutes: float = Field(
        default=60,
        gt=0,
        description="Minutes after which a message to a chat is no longer worth sending; higher = older news after an "
        "outage.",
    )
    json_expiry_hours: float = Field(
        default=24,
        gt=0,
        description="Hours after which an event is no longer worth sending to an HTTP endpoint.",
    )
    allow_cidrs: tuple[str, ...] = Field(
        default=(),
        description="Networks that are not public and may be sent to all the same, such as 10.1.0.0/16; metadata "
        "services and link-local addresses stay closed whatever stands here.",
    )
    dashboard_url: str = Field(
        default="",
        pattern=r"^(https?://\S+)?$",
        description="Address of the dashboard as readers reach it, such as https://regimes.example.com; messages then "
        "carry links to it.",
    )
    fallback: str = Field(
        default="",
        description="Name of the endpoint that gets what another could not be given, such as telegram-admin-1; empty = "
        "such messages only wait as dead letters for a replay.",
    )

    @property
    def urls(self) -> Mapping[str, str]:
        """The webhook URLs by route, as `parse_endpoints` takes them."""
        given = {route: getattr(self, f"webhooks_{route.lower()}") for route in ROUTES}
        return {route: value.get_secret_value() for route, value in given.items() if value is not None}


DEFAULTS = DeliverySettings()
