"""Section `[delivery]` of the configuration."""

from pydantic import BaseModel, ConfigDict, Field


class DeliverySettings(BaseModel):
    """How messages leave; one table that gives default, rule, unit and words."""

    model_config = ConfigDict(frozen=True, extra="forbid", validate_default=True)

    timeout_seconds: float = Field(
        5.0,
        gt=0,
        le=60,
        description="Seconds a receiver has for everything, from its name to the last byte; lower = a slow one is given "
        "up and tried again sooner.",
    )
    allow_cidrs: tuple[str, ...] = Field(
        (),
        description="Networks that are not public and may be sent to all the same, such as 10.1.0.0/16; metadata "
        "services and link-local addresses stay closed whatever stands here.",
    )
    fallback: str = Field(
        "",
        description="Name of the endpoint that gets what another could not be given, such as telegram-admin-1; empty = "
        "such messages only wait as dead letters for a replay.",
    )
