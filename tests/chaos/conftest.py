"""The private database servers of the storage tests."""

from pathlib import Path

import pytest

from tests.storage.conftest import mortal, mortal_server, postgres_server
from tests.storage.postgres_server import PrivatePostgres

__all__ = ["mortal", "mortal_server", "postgres_server"]

PATIENCE_S = 300
"""Each takes well under a minute, but not on a machine with ten times the work it has cores for."""


@pytest.fixture(params=["sqlite", "postgres"])
def server(request: pytest.FixtureRequest) -> PrivatePostgres | None:
    """The database server to use; none for SQLite."""
    if request.param == "sqlite":
        return None
    found: PrivatePostgres = request.getfixturevalue("mortal")
    return found


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    for item in items:
        if item.path.parent == Path(__file__).parent and item.get_closest_marker("timeout") is None:
            item.add_marker(pytest.mark.timeout(PATIENCE_S))
