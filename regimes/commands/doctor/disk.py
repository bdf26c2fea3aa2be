"""Where files are kept: whether there can be any, and room for them."""

import shutil
from collections.abc import Iterator
from pathlib import Path
from typing import Final

from regimes.commands.doctor.finding import Finding
from regimes.config import Settings

FREE_MB: Final = 200


def disk(settings: Settings) -> Iterator[Finding]:
    """Whether candles can be cached and lines logged."""
    for subject, folder in (
        ("cache folder", settings.storage.cache_dir),
        ("log folder", settings.log.file.parent if settings.log.file else None),
    ):
        if folder is not None:
            yield look_at(subject, folder)


def look_at(subject: str, folder: Path) -> Finding:
    """Whether this user can write to a folder, and how much room there is."""
    try:
        folder.mkdir(parents=True, exist_ok=True)
        probe = folder / ".regimes-probe"
        probe.write_bytes(b"probe")
        probe.unlink()
    except OSError as error:
        return Finding(
            subject,
            "wrong",
            f"{folder}: {error.strerror}",
            "let this user write there, or name another folder",
        )
    free_mb = shutil.disk_usage(folder).free // 1_000_000
    if free_mb < FREE_MB:
        return Finding(subject, "warning", f"{folder}: only {free_mb} MB free", f"free at least {FREE_MB} MB")
    return Finding(subject, "ok", f"{folder}: writable, {free_mb:,} MB free")
