"""What every test may ask for."""

import os
from pathlib import Path

import pytest

ROOT = Path(__file__).parent.parent


@pytest.fixture(scope="session")
def data_dir() -> Path:
    """Folder of real recorded market data; the test is skipped where there is none."""
    folder = Path(os.environ.get("REGIMES_TEST_DATA", ROOT / "../shared/data")).resolve()
    if not folder.is_dir():
        pytest.skip(f"real market data not found in {folder}: set REGIMES_TEST_DATA")
    return folder
