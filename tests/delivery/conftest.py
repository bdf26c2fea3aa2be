"""Published vectors, and messages to send."""

from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any

import msgspec
import pytest
from hypothesis import settings

from tests.delivery.harness import WatchedStorage, opened

# A busy machine is no failure.
settings.register_profile("unhurried", deadline=None)
settings.load_profile("unhurried")


@pytest.fixture(scope="session")
def vectors(data_dir: Path) -> dict[str, Any]:
    """Test vectors of signatures, waits, addresses and rate limits; they stand beside the market data."""
    path = data_dir.parent / "vectors" / "webhooks.json"
    if not path.is_file():
        pytest.skip(f"webhook vectors not found at {path}")
    decoded: dict[str, Any] = msgspec.json.decode(path.read_bytes())
    return decoded


@pytest.fixture
async def storage(tmp_path: Path) -> AsyncIterator[WatchedStorage]:
    async with opened(tmp_path) as store:
        yield store
