"""Writes steps until it is killed; prints the number of each one after it was acknowledged."""

import asyncio
import sys
from itertools import count
from pathlib import Path

from regimes.clock import ScaledClock
from regimes.storage.base import Step
from regimes.storage.factory import storage_for

from .samples import NOW_MS, delivery, event


def step(n: int) -> Step:
    new = delivery(f"d{n:06}", event_id="evt", revision=n, created_ms=NOW_MS + n)
    return Step(events=[event(revision=n)], deliveries=[new], state={"n": b"%d" % n})


async def main(url: str, spool: str, first: int) -> None:
    storage = storage_for(url, clock=ScaledClock(NOW_MS, 1), spool=Path(spool))
    await storage.open()
    for n in count(first):
        await storage.commit(step(n))
        sys.stdout.write(f"{n}\n")
        sys.stdout.flush()


if __name__ == "__main__":
    asyncio.run(main(sys.argv[1], sys.argv[2], int(sys.argv[3])))
