"""Only the exchanges that are used are imported, and the others are still there for whoever asks."""

import subprocess
import sys

import pytest

CHECKS = {
    "only what is used is imported": """
        import sys, regimes.feeds.exchanges as exchanges
        found = {name.rpartition(".")[2] for name in sys.modules if name.startswith("ccxt.pro.")}
        assert found & exchanges._all() == exchanges.USED, found
    """,
    "another exchange is imported on demand": """
        from regimes.feeds.exchanges import pro
        assert "ccxt.pro.okx" not in sys.modules
        assert pro.okx().id == "okx"
        from ccxt.async_support import kraken
        assert kraken().id == "kraken"
    """,
    "its module can be imported by name": """
        import regimes.feeds.exchanges
        from ccxt.pro.bybit import bybit
        assert bybit().id == "bybit"
    """,
    "what ccxt does not have it does not have": """
        from regimes.feeds.exchanges import pro
        assert not hasattr(pro, "nosuchexchange")
    """,
    "a program that has imported ccxt keeps it as it is": """
        import ccxt.pro
        from regimes.feeds.exchanges import pro
        assert pro is ccxt.pro and "okx" in vars(pro)
    """,
    "finders are as before": """
        before = list(sys.meta_path)
        import regimes.feeds.exchanges
        assert not [f for f in sys.meta_path if type(f).__name__ == "_LeftOut"]
    """,
}


@pytest.mark.parametrize("name", CHECKS)
def test_what_is_imported(name: str) -> None:
    lines = ["import sys", *(line.strip() for line in CHECKS[name].strip().splitlines())]
    subprocess.run(  # noqa: S603 (this interpreter, the lines above)
        [sys.executable, "-c", "\n".join(lines)], check=True, timeout=60
    )
