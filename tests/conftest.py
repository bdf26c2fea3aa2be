"""What every test may ask for."""

import logging
import os
from collections.abc import Iterator
from pathlib import Path

import pytest
import structlog
from hypothesis import HealthCheck, settings

# Before numpy is loaded: workers side by side need no threads of their own.
os.environ.setdefault("OPENBLAS_NUM_THREADS", "1")
ROOT = Path(__file__).parent.parent
# A busy machine is no finding, and a change is not judged by luck: the same examples each time.
settings.register_profile(
    "steady", deadline=None, suppress_health_check=[HealthCheck.too_slow], derandomize=True
)
# Other examples each time: `pytest --hypothesis-profile roaming`.
settings.register_profile("roaming", settings.get_profile("steady"), derandomize=False)
settings.load_profile("steady")


def pytest_xdist_auto_num_workers() -> int:
    """Twice as many as there are cores: many tests wait for sockets and clocks more than they work."""
    return 2 * (os.cpu_count() or 1)


@pytest.fixture(scope="session")
def data_dir() -> Path:
    """Folder of real recorded market data; the test is skipped where there is none."""
    folder = Path(os.environ.get("REGIMES_TEST_DATA", ROOT / "../shared/data")).resolve()
    if not folder.is_dir():
        pytest.skip(f"real market data not found in {folder}: set REGIMES_TEST_DATA")
    return folder


@pytest.fixture
def logging_as_before() -> Iterator[None]:
    """For tests of what sets the log up: afterwards it is as it was."""
    root = logging.getLogger()
    handlers, level = root.handlers[:], root.level
    root.handlers = []
    yield
    for handler in root.handlers:
        handler.close()
    root.handlers = handlers
    root.setLevel(level)
    structlog.reset_defaults()
