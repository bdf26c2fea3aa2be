"""What the basis of the alerts means for the features."""

from regimes.config import Settings
from regimes.features.base import FeatureSettings
from regimes.features.liquidation_cascade import CascadeSettings, LiquidationCascade
from regimes.features.volatility_regime import VolatilityRegime, VolatilitySettings


def feature_settings(settings: Settings) -> dict[str, FeatureSettings]:
    """The settings of the features, by section.

    Where people are told of cascades by what is usual alone, cascades of few dollars must be events too; where they are
    told of volatility by its calibrated state as well, events must say what it is.
    """
    sections = settings.sections()
    cascades, volatility = sections[LiquidationCascade.section], sections[VolatilityRegime.section]
    is_wanted = settings.alerting.cascade_basis == "relative"
    if is_wanted and isinstance(cascades, CascadeSettings) and cascades.alert_from_relative is None:
        least = max(2, settings.alerting.cascade_relative_severity)
        sections[LiquidationCascade.section] = cascades.model_copy(update={"alert_from_relative": least})
    if settings.alerting.volatility_basis == "both" and isinstance(volatility, VolatilitySettings):
        sections[VolatilityRegime.section] = volatility.model_copy(update={"calibrated_in_events": True})
    return sections


def changed_bases(now: dict[str, FeatureSettings], found: dict[str, FeatureSettings]) -> list[str]:
    """Settings of the alerts that change what the features do, so that they take effect with a restart alone."""
    names = {
        LiquidationCascade.section: "alerting.cascade_basis",
        VolatilityRegime.section: "alerting.volatility_basis",
    }
    return [name for section, name in names.items() if now[section] != found[section]]
