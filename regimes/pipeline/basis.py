"""What the basis of the alerts means for the features."""

from regimes.config import Settings
from regimes.features.base import FeatureSettings
from regimes.features.liquidation_cascade import CascadeSettings, LiquidationCascade


def feature_settings(settings: Settings) -> dict[str, FeatureSettings]:
    """The settings of the features, by section.

    Where people are told of cascades by what is usual alone, cascades of few dollars must be events too.
    """
    sections = settings.sections()
    cascades = sections[LiquidationCascade.section]
    is_wanted = settings.alerting.cascade_basis == "relative"
    if is_wanted and isinstance(cascades, CascadeSettings) and cascades.alert_from_relative is None:
        least = max(2, settings.alerting.cascade_relative_severity)
        sections[LiquidationCascade.section] = cascades.model_copy(update={"alert_from_relative": least})
    return sections
