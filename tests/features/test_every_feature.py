"""Every registered feature through the same list of checks."""

import importlib
from collections.abc import Sequence
from functools import cache
from importlib.util import find_spec

import pytest

from regimes.features.base import Feature, Universe
from regimes.observations import Observation
from tests.features.checks import CHECKS, Make
from tests.features.market import SYMBOLS, market

KNOWN = {
    "liquidation_cascade": "LiquidationCascade",
    "funding_anomaly": "FundingAnomaly",
    "volatility_regime": "VolatilityRegime",
    "multi_timeframe": "MultiTimeframe",
    "correlation_engine": "CorrelationEngine",
}
FEATURES = {module: name for module, name in KNOWN.items() if find_spec(f"regimes.features.{module}")}


def maker(module: str, name: str) -> Make:
    found = getattr(importlib.import_module(f"regimes.features.{module}"), name)

    def make() -> Feature:
        feature: Feature = found(found.settings_type(), Universe(SYMBOLS))
        return feature

    return make


@cache
def observations() -> Sequence[Observation]:
    return tuple(market())


@pytest.mark.parametrize("check", CHECKS, ids=lambda check: check.__name__.removeprefix("check_"))
@pytest.mark.parametrize(("module", "name"), FEATURES.items(), ids=lambda part: part)
def test_feature(module: str, name: str, check: object) -> None:
    assert callable(check)
    check(maker(module, name), observations())


def test_names_are_those_the_package_and_the_configuration_use() -> None:
    for module, name in FEATURES.items():
        feature = maker(module, name)()
        assert feature.name == module
        assert all(field.description for field in feature.settings_type.model_fields.values())
        assert all(need.span_ms > 0 for need in feature.warmup())
