"""Section `[tape]` of the configuration."""

from pathlib import Path
from typing import Annotated

from pydantic import AfterValidator, BaseModel, ConfigDict, Field

from regimes.observations import DataKind


def _each_once(kinds: tuple[DataKind, ...]) -> tuple[DataKind, ...]:
    if len(set(kinds)) < len(kinds):
        raise ValueError("each kind may stand once")
    return kinds


class TapeSettings(BaseModel):
    """What is recorded as it comes, where, and for how long."""

    model_config = ConfigDict(frozen=True, extra="forbid", validate_default=True)

    enabled: bool = Field(
        default=True, description="Whether `regimes run` records; `regimes record` always does."
    )
    kinds: Annotated[tuple[DataKind, ...], AfterValidator(_each_once)] = Field(
        default=("liquidation",),
        min_length=1,
        description="Kinds of data to record: liquidation (no exchange has their history), candle, funding, mark_price, "
        "open_interest, depth. With all of them a replay of the tape gives the very events of the run. More kinds = more "
        "disk.",
    )
    frames: bool = Field(
        default=True,
        description="Whether the exchange's own text is kept beside each observation that came over a websocket; "
        "false = less than half the disk.",
    )
    folder: Path = Field(
        default=Path(".regimes/tape"),
        description="Folder of the tape. A relative path starts at the folder the program is started in.",
    )
    flush_seconds: float = Field(
        default=2.0,
        ge=0.05,
        le=60,
        description="Seconds after which what was recorded is on disk; a process that is killed loses no more than that.",
    )
    segment_mb: float = Field(
        default=64.0,
        ge=0.1,
        le=4096,
        description="Size in MB at which a new file is begun.",
    )
    segment_hours: float = Field(
        default=24.0,
        gt=0,
        le=168,
        description="Hours of market time after which a new file is begun.",
    )
    keep_gb: float = Field(
        default=10.0,
        gt=0,
        description="GB the folder may take; beyond that the oldest files go.",
    )
    keep_days: float = Field(
        default=1095.0,
        ge=1,
        description="Days a file is kept after it was begun.",
    )
    queue: int = Field(
        default=200_000,
        ge=1_000,
        description="Observations that may wait for the disk; what comes beyond that is not recorded, counted, and "
        "told on the tape. Lower = less memory when the disk is slow.",
    )
