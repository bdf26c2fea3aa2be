"""Which features are installed: every class registered under the entry point group `regimes.features`."""

from functools import cache
from importlib.metadata import EntryPoint, entry_points
from typing import Any, Final

from regimes.errors import ConfigError
from regimes.features.base import Feature, FeatureSettings

GROUP: Final = "regimes.features"


@cache
def installed() -> tuple[type[Feature], ...]:
    """Return the feature classes, those of this package first, each section claimed once.

    Raises ConfigError when none is registered, one cannot be imported, or two want the same section.
    """
    found = sorted(entry_points(group=GROUP), key=lambda point: (_owner(point) != "regimes", point.name))
    if not found:
        raise ConfigError(
            f"no feature is registered under the entry point group {GROUP!r}: "
            "this checkout is not installed; run `pip install -e .` in it"
        )
    features = tuple(_load(point) for point in found)
    _refuse_shared_sections(features)
    return features


def section_types() -> dict[str, type[FeatureSettings]]:
    """Return the settings type of each feature by its section."""
    return {feature.section: feature.settings_type for feature in installed()}


def _owner(point: EntryPoint) -> str:
    return point.dist.name if point.dist else ""


def _load(point: EntryPoint) -> type[Feature]:
    try:
        loaded: Any = point.load()
    except Exception as error:
        raise ConfigError(
            f"feature {point.name!r} ({point.value}, from {_owner(point) or 'unknown'}) cannot be imported: "
            f"{error}; repair or uninstall that package"
        ) from error
    feature: type[Feature] = loaded
    return feature


def _refuse_shared_sections(features: tuple[type[Feature], ...]) -> None:
    owners: dict[str, str] = {}
    for feature in features:
        other = owners.setdefault(feature.section, feature.name)
        if other != feature.name:
            raise ConfigError(
                f"features {other!r} and {feature.name!r} both want the section [{feature.section}]; "
                "uninstall one of them"
            )
