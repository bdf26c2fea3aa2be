"""The running program without its process: feed, queue, engine and timer."""

from regimes.pipeline.pipeline import Pipeline
from regimes.pipeline.status import Readiness

__all__ = ["Pipeline", "Readiness"]
