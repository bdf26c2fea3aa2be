"""The examples in the docstrings run and give what they say."""

import doctest
import importlib
import pkgutil

import pytest

import regimes.features
import regimes.maths

MODULES = [
    found.name
    for package in (regimes.features, regimes.maths)
    for found in pkgutil.walk_packages(package.__path__, f"{package.__name__}.")
]


@pytest.mark.parametrize("name", MODULES)
def test_examples_of(name: str) -> None:
    assert doctest.testmod(importlib.import_module(name)).failed == 0
