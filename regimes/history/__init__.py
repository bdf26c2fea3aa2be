"""The past, wherever it is kept, as the observations it was: folders of recordings, tapes, archives."""

from regimes.history.parquet import ParquetSource
from regimes.history.source import Recorded, Source, open_source

__all__ = ["ParquetSource", "Recorded", "Source", "open_source"]
