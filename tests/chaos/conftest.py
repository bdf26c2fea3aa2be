"""The private database servers of the storage tests."""

from tests.storage.conftest import mortal, mortal_server, postgres_server

__all__ = ["mortal", "mortal_server", "postgres_server"]
