"""`regimes run` as a process of its own, with nothing of the user's: database, endpoints and exchange are the test's."""

import asyncio
import os
import sys
from collections.abc import AsyncIterator, Mapping
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Final

import aiohttp

from regimes.commands.load_test.market import STEP_USD, names
from regimes.commands.load_test.tiers import Load
from regimes.errors import VenueError

READY_S: Final = 900.0
LOOK_S: Final = 0.5
CONFIG: Final = "load-test.toml"
_OURS: Final = ("REGIMES_", "BINANCE_", "DB_", "WEBHOOK", "DASHBOARD_", "OPENAI_", "LOG_")


def environment(
    folder: Path, load: Load, *, exchange: str, webhooks: str, port: int, timeframes: str
) -> Mapping[str, str]:
    """All settings; those of the user are left out."""
    settings = {
        "REGIMES_CONFIG": str(folder / CONFIG),
        "DB_URL": f"sqlite:///{folder}/load-test.db",
        "WEBHOOKS_ALL": webhooks,
        "WEBHOOK_SECRET": "whsec_bG9hZC10ZXN0LW9ubHktbm90aGluZy1lbHNl",
        "LOG_LEVEL": "WARNING",
        "REGIMES__SYMBOLS": ",".join(names(load.symbols)),
        "REGIMES__TIMEFRAMES": timeframes,
        "REGIMES__VENUES__SPOT_URL": exchange,
        "REGIMES__VENUES__DERIVATIVES_URL": exchange,
        "REGIMES__STORAGE__CACHE_DIR": str(folder / "cache"),
        "REGIMES__STORAGE__SPOOL": str(folder / "spool.db"),
        "REGIMES__WEB__PORT": str(port),
        "REGIMES__WEB__MAX_STREAMS": str(load.viewers + 100),
        "REGIMES__DELIVERY__ALLOW_CIDRS": "127.0.0.0/8",
        "REGIMES__ALERTING__BURST_COUNT": "1000000",
        "REGIMES__ALERTING__DAILY_CAP": "0",
        "REGIMES__ALERTING__CASCADE_BASIS": "absolute",
        "REGIMES__LIQUIDATION__CASCADE_THRESHOLD_USD": str(STEP_USD),
        "REGIMES__LIQUIDATION__CRITICAL_VELOCITY": str(STEP_USD),
        "REGIMES__LIQUIDATION__MARKET_MULTIPLE": "1e6",
    }
    rest = {name: value for name, value in os.environ.items() if not name.startswith(_OURS)}
    here = os.pathsep.join([str(Path(__file__).parents[3]), *filter(None, [os.environ.get("PYTHONPATH")])])
    return {**rest, "PYTHONPATH": here, **settings}


@asynccontextmanager
async def service(folder: Path, variables: Mapping[str, str], *, one_core: bool) -> AsyncIterator[int]:
    """A service, ready, until the block ends; its process id. Raises VenueError when it does not get ready."""
    (folder / CONFIG).touch()
    log = (folder / "log").open("wb")
    process = await asyncio.create_subprocess_exec(
        *(sys.executable, "-m", "regimes", "run"), cwd=folder, env=variables, stdout=log, stderr=log
    )
    try:
        if one_core and hasattr(os, "sched_setaffinity"):
            os.sched_setaffinity(process.pid, {min(os.sched_getaffinity(0))})
        await _ready(process, f"http://127.0.0.1:{variables['REGIMES__WEB__PORT']}")
        yield process.pid
    except VenueError as error:
        raise VenueError(f"{error}\n{(folder / 'log').read_text()[-4_000:]}") from error
    finally:
        if process.returncode is None:
            process.terminate()
        await process.wait()
        log.close()


def waited_s(pid: int) -> float | None:
    """Seconds for which a process could have run but others had the core; None where the system does not tell."""
    try:
        tasks = list(Path(f"/proc/{pid}/task").iterdir())
        return sum(int((task / "schedstat").read_text().split()[1]) for task in tasks) / 1e9
    except (OSError, IndexError, ValueError):
        return None


async def _ready(process: asyncio.subprocess.Process, address: str) -> None:
    """Wait until every stream is connected."""
    try:
        async with asyncio.timeout(READY_S), aiohttp.ClientSession(address) as client:
            while process.returncode is None:
                await asyncio.sleep(LOOK_S)
                if await _is_live(client):
                    return
    except TimeoutError as error:
        raise VenueError(f"the service was not live within {READY_S:g} s") from error
    raise VenueError(f"the service has ended with code {process.returncode}")


async def _is_live(client: aiohttp.ClientSession) -> bool:
    try:
        async with client.get("/api/status") as answer:
            told = await answer.json()
    except aiohttp.ClientError:
        return False
    return bool(told.get("state") == "live")
