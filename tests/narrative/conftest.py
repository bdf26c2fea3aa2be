"""A model's server that is not there: every request of the SDK is answered by respx."""

from collections.abc import Iterator

import pytest
import respx
from respx.mocks import HTTPCoreMocker

BASE = "http://127.0.0.1:9/v1"
# The SDK brings its own copy of the HTTP client's transport.
TRANSPORT = "httpcore2._async.connection_pool.AsyncConnectionPool"


@pytest.fixture
def model() -> Iterator[respx.Route]:
    """The one route that is asked; every other request fails the test."""
    HTTPCoreMocker.add_targets(TRANSPORT)
    try:
        with respx.mock(assert_all_called=False, using="httpcore") as router:
            yield router.post(f"{BASE}/chat/completions")
    finally:
        HTTPCoreMocker.remove_targets(TRANSPORT)
