"""Section `[delivery]` of the configuration."""

from pydantic import BaseModel, ConfigDict, Field


class DeliverySettings(BaseModel):
    """How messages leave; one table that gives default, rule, unit and words."""

    model_config = ConfigDict(frozen=True, extra="forbid", validate_default=True)

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
    fallback: str = Field(
        default="",
        description="Name of the endpoint that gets what another could not be given, such as telegram-admin-1; empty = "
        "such messages only wait as dead letters for a replay.",
    )


DEFAULTS = DeliverySettings()
