"""The examples in the documentation of the library functions run as written."""

import doctest
from types import ModuleType

import pytest

from regimes.features import correlation_engine
from regimes.maths import correlation, lead_lag, leadership


@pytest.mark.parametrize(
    "module", [correlation, lead_lag, leadership, correlation_engine], ids=lambda m: m.__name__
)
def test_the_examples_run_as_written(module: ModuleType) -> None:
    found = doctest.testmod(module)
    assert found.attempted > 0
    assert found.failed == 0
