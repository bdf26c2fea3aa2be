"""What is said about one symbol's correlations, and about the market's."""

from collections.abc import Mapping

import msgspec

from regimes.features.base import Reading

Numbers = Mapping[str, float | None]


class CorrelationReading(Reading, frozen=True, kw_only=True):
    """How one symbol moves with the others. Keys are pairs such as `BTC/ETH`.

    current, current_24h: Pearson's r over the last 7 days and 24 hours. normal, normal_24h: over the 30 days
    before each. change, fisher_z: current against normal. breaks: pairs whose break is on now, broken_since_ms
    when each began. In a universe of more than 40 symbols only broken pairs are listed.
    leading_asset, lagging_assets: proven leadership in the universe, else None and nothing.
    break_strength: evidence that the pair no longer moves as it did, 1 is reached by chance once in 30 days; of the
    first 40 symbols. sequential_breaks: the pairs whose evidence is no chance among all of them.
    """

    current: Numbers
    normal: Numbers
    change: Numbers
    fisher_z: Numbers
    current_24h: Numbers
    normal_24h: Numbers
    change_24h: Numbers
    fisher_z_24h: Numbers
    breaks: tuple[str, ...]
    broken_since_ms: Mapping[str, int]
    leading_asset: str | None
    lagging_assets: tuple[str, ...]
    break_strength: Numbers = msgspec.field(default_factory=dict)
    sequential_breaks: tuple[str, ...] = ()


class MarketCorrelationReading(CorrelationReading, frozen=True, kw_only=True):
    """The whole market's correlations (symbol `ALL`).

    assets, matrix: the 7-day correlation of each symbol with each, row by row; None beyond 40 symbols, where
    it would be too large to send on (the feature's `matrix()` answers it for any number).
    """

    assets: tuple[str, ...]
    matrix: tuple[tuple[float | None, ...], ...] | None


class Labels(msgspec.Struct, frozen=True):
    """What each symbol, and each pair of symbols, is called."""

    symbols: tuple[str, ...]
    short: tuple[str, ...]

    @classmethod
    def of(cls, symbols: tuple[str, ...]) -> "Labels":
        """`BTC/USDT` is called `BTC`; where two share a base asset both keep their quote: `BTC-USDT`."""
        bases = [symbol.split("/", 1)[0] for symbol in symbols]
        short = tuple(
            base if bases.count(base) == 1 else symbol.replace("/", "-")
            for base, symbol in zip(bases, symbols, strict=True)
        )
        return cls(symbols, short)

    def pair(self, row: int, column: int) -> str:
        """Name of a pair, such as `BTC/ETH`, in the order of the universe."""
        return f"{self.short[row]}/{self.short[column]}"
