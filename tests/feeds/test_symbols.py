"""Market ids and symbols, both ways, the odd ones too."""

from typing import Any

import pytest
from hypothesis import given, strategies as st

from regimes.errors import ConfigError
from regimes.feeds.symbols import SymbolMap, check_known, guess_symbol, quote_of, rank_by_volume

MAJORS = SymbolMap({"BTCUSDT": "BTC/USDT", "ETHUSDT": "ETH/USDT", "SOLUSDT": "SOL/USDT"})


@pytest.mark.parametrize(
    ("market_id", "symbol"),
    [
        ("BTCUSDT", "BTC/USDT"),
        ("1000PEPEUSDT", "1000PEPE/USDT"),
        ("BTCUSDC", "BTC/USDC"),
        ("ETHFDUSD", "ETH/FDUSD"),
        ("BTCUSDT_260327", "BTC/USDT-260327"),
        ("ETHBTC", "ETH/BTC"),
        ("币安人生USDT", "币安人生/USDT"),
        ("USDT", "USDT"),
        ("SOMETHING", "SOMETHING"),
    ],
)
def test_an_unlisted_market_is_named_by_its_quote(market_id: str, symbol: str) -> None:
    assert guess_symbol(market_id) == symbol


@given(st.text(min_size=1, max_size=12), st.sampled_from(["USDT", "USDC", "FDUSD"]))
def test_any_base_before_a_known_quote_is_kept_whole(base: str, quote: str) -> None:
    symbol = guess_symbol(base.replace("_", "") + "X" + quote)
    assert quote_of(symbol) == quote
    assert symbol.startswith(base.replace("_", "") + "X/")


def market(**changes: Any) -> dict[str, Any]:
    return {
        "id": "BTCUSDT",
        "base": "BTC",
        "quote": "USDT",
        "settle": "USDT",
        "spot": False,
        "swap": True,
        "linear": True,
        "active": True,
    } | changes


def test_only_active_perpetuals_settled_in_their_quote_count_as_perpetuals() -> None:
    found = SymbolMap.from_markets(
        [
            market(),
            market(id="BTCUSDT_260327", swap=False),
            market(id="ETHUSDT", base="ETH", active=False),
            market(id="BTCUSD_PERP", quote="USD", settle="BTC", linear=False),
            market(id="SOLUSDC", base="SOL", quote="USDC", settle="USDC"),
        ],
        perpetual=True,
    )
    assert set(found.symbols) == {"BTC/USDT", "SOL/USDC"}


def test_spot_pairs_do_not_mix_with_perpetuals() -> None:
    markets = [market(), market(id="ETHUSDT", base="ETH", spot=True, swap=False, linear=None, settle=None)]
    assert SymbolMap.from_markets(markets, perpetual=False).symbols == ["ETH/USDT"]


def test_strangers_do_not_fill_the_memory() -> None:
    symbols = SymbolMap({})
    for number in range(20_000):
        symbols.symbol(f"X{number}USDT")
    assert len(symbols) <= 10_000
    assert symbols.symbol("X19999USDT") == "X19999/USDT"


def test_an_unknown_market_does_not_become_a_configured_one() -> None:
    symbols = SymbolMap({})
    symbols.symbol("BTCUSDT")
    assert "BTC/USDT" not in symbols


def test_an_unknown_symbol_is_named_with_near_matches() -> None:
    with pytest.raises(ConfigError) as caught:
        check_known(["BTC/USDT", "ETH/UST", "BTCUSDT"], {"binanceus": MAJORS})
    text = str(caught.value)
    assert "'ETH/UST' (did you mean ETH/USDT" in text
    assert "'BTCUSDT' (did you mean BTC/USDT" in text
    assert "binanceus" in text
    assert "'BTC/USDT'" not in text


def test_a_base_spelt_alike_is_meant_and_not_whatever_has_the_same_quote() -> None:
    with pytest.raises(ConfigError) as caught:
        check_known(["FOO/USDT"], {"binanceus": MAJORS, "binanceusdm": MAJORS})
    assert "binanceus and binanceusdm have no market for 'FOO/USDT'" in str(caught.value)
    assert "SOL/USDT" not in str(caught.value)


def test_an_unknown_symbol_like_nothing_known_gets_the_rule() -> None:
    with pytest.raises(ConfigError, match="write it as BASE/QUOTE"):
        check_known(["??"], {"binanceus": MAJORS})


def test_a_symbol_that_one_venue_has_is_known() -> None:
    check_known(["SOL/USDT"], {"binanceus": SymbolMap({}), "binanceusdm": MAJORS})


def test_no_symbol_is_judged_while_no_market_is_known() -> None:
    check_known(["??"], {})


def test_symbols_are_ranked_by_quote_volume_without_pegged_and_unlisted_ones() -> None:
    markets = SymbolMap(
        {
            "BTCUSDT": "BTC/USDT",
            "ETHUSDT": "ETH/USDT",
            "USDCUSDT": "USDC/USDT",
            "BTCUSD": "BTC/USD",
            "SOLUSDT": "SOL/USDT",
        }
    )
    tickers = [
        {"symbol": "ETHUSDT", "quoteVolume": "2000.5"},
        {"symbol": "BTCUSDT", "quoteVolume": "10000"},
        {"symbol": "USDCUSDT", "quoteVolume": "99999"},
        {"symbol": "BTCUSD", "quoteVolume": "88888"},
        {"symbol": "SOLUSDT", "quoteVolume": "nonsense"},
        {"symbol": "UNLISTEDUSDT", "quoteVolume": "77777"},
        {},
    ]
    assert rank_by_volume(tickers, markets, 2, "USDT") == ("BTC/USDT", "ETH/USDT")
    assert rank_by_volume(tickers, markets, 9, "USDT") == ("BTC/USDT", "ETH/USDT")
