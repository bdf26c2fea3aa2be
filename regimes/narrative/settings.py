"""Section `[narrative]` of the configuration."""

from typing import Literal, TypeAlias

from pydantic import BaseModel, ConfigDict, Field, SecretStr

Style: TypeAlias = Literal["brief", "full", "headline"]


class NarrativeSettings(BaseModel):
    """The paragraph beside each package and event: made by fixed rules; a language model may put it into other words."""

    model_config = ConfigDict(frozen=True, extra="forbid", validate_default=True)

    style: Style = Field(
        default="brief",
        description="How much is said: headline (one line), brief (a few sentences), full (with the rule, the levels and "
        "the track record).",
    )
    api_key: SecretStr | None = Field(
        default=None,
        description="Key of a language model's service that rewrites the paragraphs (OPENAI_API_KEY); needs the extra "
        "regimes[narrative]. Without one the fixed rules alone speak.",
    )
    base_url: SecretStr | None = Field(
        default=None,
        description="Address of any server that speaks the same protocol (OPENAI_BASE_URL), such as "
        "http://127.0.0.1:11434/v1, with its password where it wants one; empty = OpenAI's own.",
    )
    model: str = Field(
        default="gpt-4o-mini", min_length=1, description="Name of the model, as its service knows it."
    )
    timeout_seconds: float = Field(
        default=10.0,
        gt=0,
        le=120,
        description="Seconds one rewriting may take before the fixed words stay. Alerts never wait for it.",
    )
    per_hour: int = Field(
        default=30,
        ge=0,
        le=10_000,
        description="Rewritings asked for in any hour, at most; 0 = none. Lower = lower bills.",
    )
    package_minutes: float = Field(
        default=15.0,
        ge=1,
        description="Least minutes between two rewritings of the same symbol's package; lower = uses more of per_hour.",
    )
