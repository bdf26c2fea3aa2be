"""Market ids of a venue (`BTCUSDT`) and configured symbols (`BTC/USDT`), both ways."""

import difflib
import re
from collections.abc import Iterable, Mapping, Sequence
from functools import lru_cache
from typing import Any, Final

from regimes.errors import ConfigError

# Quotes an unknown market id may end in, longest first so that FDUSD is not read as USD.
_QUOTES: Final = ("FDUSD", "USDT", "USDC", "BUSD", "TUSD", "USD1", "USDE", "USD", "BTC", "ETH", "BNB")
DOLLAR_QUOTES: Final = frozenset({"USDT", "USDC", "FDUSD", "BUSD", "TUSD", "USD1", "USDE", "USD"})
_STABLE_BASES: Final = DOLLAR_QUOTES | {
    "DAI",
    "USDP",
    "PYUSD",
    "EUR",
    "GBP",
    "AEUR",
    "EURI",
    "XUSD",
    "BFUSD",
    "RLUSD",
}
_DATED: Final = re.compile(r"^(?P<pair>.+)_(?P<date>\d{6})$")
_MAX_ID: Final = 64


def guess_symbol(market_id: str) -> str:
    """Name a market the venue did not list: by its quote's suffix, `BTCUSDT_260327` as `BTC/USDT-260327`.

    An id that ends in no known quote is its own symbol.
    """
    dated = _DATED.match(market_id)
    pair = dated["pair"] if dated else market_id
    for quote in _QUOTES:
        if pair.endswith(quote) and len(pair) > len(quote):
            symbol = f"{pair.removesuffix(quote)}/{quote}"
            return f"{symbol}-{dated['date']}" if dated else symbol
    return market_id


def quote_of(symbol: str) -> str:
    """`BTC/USDT` and `BTC/USDT-260327` are quoted in `USDT`; empty where the symbol does not say."""
    _, slash, rest = symbol.rpartition("/")
    return rest.partition("-")[0] if slash else ""


@lru_cache(maxsize=10_000)
def in_dollars(symbol: str) -> bool:
    """Whether a symbol is quoted in dollars or a dollar stablecoin, so that its amounts are USD."""
    return quote_of(symbol) in DOLLAR_QUOTES


class SymbolMap:
    """One venue's markets that count here: its spot pairs, or its linear perpetuals."""

    def __init__(self, ids: Mapping[str, str]) -> None:
        """ids: market id -> configured spelling, active markets only."""
        self.by_id = dict(ids)
        """Symbols by market id: the venue's, and others that were named on the way."""
        self._id_by_symbol = {symbol: market_id for market_id, symbol in ids.items()}

    @classmethod
    def from_markets(cls, markets: Iterable[Mapping[str, Any]], *, perpetual: bool) -> "SymbolMap":
        """Take ccxt markets: linear perpetuals settled in their quote, or else spot pairs. Inactive ones are left out."""
        return cls(
            {
                market["id"]: f"{market['base']}/{market['quote']}"
                for market in markets
                if market.get("active") is not False and _counts(market, perpetual=perpetual)
            }
        )

    def __len__(self) -> int:
        return len(self.by_id)

    def __contains__(self, symbol: str) -> bool:
        return symbol in self._id_by_symbol

    @property
    def symbols(self) -> Sequence[str]:
        """Every symbol the venue has."""
        return list(self._id_by_symbol)

    def market_id(self, symbol: str) -> str:
        """The venue's id of a symbol it has; KeyError otherwise."""
        return self._id_by_symbol[symbol]

    def symbol(self, market_id: str) -> str:
        """The configured spelling; markets the venue did not list are named by their suffix and remembered."""
        known = self.by_id.get(market_id)
        if known is None:
            known = guess_symbol(market_id)
            if len(market_id) <= _MAX_ID and len(self.by_id) < 10_000:
                self.by_id[market_id] = known
        return known


def _counts(market: Mapping[str, Any], *, perpetual: bool) -> bool:
    if perpetual:
        return bool(
            market.get("swap") and market.get("linear") and market.get("settle") == market.get("quote")
        )
    return bool(market.get("spot"))


def check_known(symbols: Sequence[str], venues: Mapping[str, SymbolMap]) -> None:
    """Refuse a configured symbol that no venue has.

    venues: by name, only those whose markets are known. Raises ConfigError that names each symbol with near matches.
    """
    if not venues:
        return
    known = sorted({symbol for markets in venues.values() for symbol in markets.symbols})
    wrong = [symbol for symbol in symbols if not any(symbol in markets for markets in venues.values())]
    if wrong:
        hints = "; ".join(f"{symbol!r}{_near(symbol, known)}" for symbol in wrong)
        lack = "has" if len(venues) == 1 else "have"
        raise ConfigError(
            f"symbols: {' and '.join(sorted(venues))} {lack} no market for {hints}; correct or remove it in `symbols`"
        )


def _near(symbol: str, known: Sequence[str]) -> str:
    """Markets whose base is spelt alike, those in the same quote first: nearly every quote is the same."""
    wanted, _, quote = symbol.upper().partition("/")
    bases = {name.partition("/")[0] for name in known}
    alike = difflib.get_close_matches(wanted, bases, n=3, cutoff=0.6)
    names = [name for name in known if name.partition("/")[0] in alike]
    names.sort(key=lambda name: (name.partition("/")[2] != quote, alike.index(name.partition("/")[0])))
    return (
        f" (did you mean {' or '.join(names[:3])}?)"
        if names
        else " (write it as BASE/QUOTE, such as BTC/USDT)"
    )


def rank_by_volume(
    tickers: Iterable[Mapping[str, Any]], markets: SymbolMap, count: int, quote: str
) -> tuple[str, ...]:
    """The `count` most traded symbols of one quote over 24 h, most traded first; pegged assets are left out.

    tickers: raw 24 h tickers with `symbol` and `quoteVolume`. A ticker without a readable volume ranks nowhere.
    """
    volumes: dict[str, float] = {}
    for ticker in tickers:
        symbol = markets.symbol(str(ticker.get("symbol")))
        base, _, quoted = symbol.partition("/")
        if symbol in markets and quoted == quote and base not in _STABLE_BASES:
            volumes[symbol] = _volume(ticker.get("quoteVolume"))
    ranked = sorted((-volume, symbol) for symbol, volume in volumes.items() if volume > 0)
    return tuple(symbol for _, symbol in ranked[:count])


def _volume(text: object) -> float:
    try:
        return float(str(text))
    except ValueError:
        return 0.0
