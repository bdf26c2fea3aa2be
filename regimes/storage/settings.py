"""Section `[storage]` of the configuration."""

from pathlib import Path

from pydantic import BaseModel, ConfigDict, Field, SecretStr


class StorageSettings(BaseModel):
    """What is kept, where, and for how long."""

    model_config = ConfigDict(frozen=True, extra="forbid", validate_default=True)

    url: SecretStr = Field(
        default=SecretStr("sqlite:///local.db"),
        description="Database: sqlite:///file.db, sqlite:////absolute/file.db or postgresql://user:password@host/database, "
        "of several servers @one,two/database (DB_URL).",
    )
    spool: Path = Field(
        default=Path(".regimes/spool.db"),
        description="File that takes everything while PostgreSQL is away; it flows back when the server returns.",
    )
    cache_dir: Path = Field(
        default=Path(".regimes/cache"),
        description="Folder for closed candles: a restart asks only for what is missing, and score and report find prices there. "
        "A relative path starts at the folder the program is started in.",
    )
    snapshot_seconds: float = Field(
        default=60.0,
        ge=1,
        le=3600,
        description="Seconds between two snapshots of the engine; one is also written with each alert. Lower = less to "
        "catch up on after a crash, more writing.",
    )
    readings_seconds: float = Field(
        default=60.0,
        ge=1,
        le=86400,
        description="Least seconds between two stored readings of the same signal and symbol; lower = finer history, "
        "more disk.",
    )
    keep_events_days: float = Field(
        default=730, ge=1, description="Days closed events, their decisions and deliveries are kept."
    )
    keep_liquidations_days: float = Field(
        default=90, ge=2, description="Days raw liquidations are kept; no exchange has their history."
    )
    keep_readings_days: float = Field(default=90, ge=1, description="Days readings are kept.")

    @property
    def retention_days(self) -> dict[str, float]:
        """Days each table's rows are kept; tables that are not here are kept for ever."""
        events = self.keep_events_days
        return {
            "market_events": events,
            "decisions": events,
            "deliveries": events,
            "webhook_logs": events,
            "silences": events,
            "liquidations": self.keep_liquidations_days,
            "readings": self.keep_readings_days,
        }
