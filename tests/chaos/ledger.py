"""What each season of kills came to, kept in a file, so that a long run counts however it ends.

`python -m tests.chaos.ledger` prints a table of it: a column for each day and database.
"""

import sys
from collections import defaultdict
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from datetime import UTC, datetime
from pathlib import Path

import msgspec

FILE = Path(__file__).parent.parent.parent / "build" / "kills.jsonl"


class Season(msgspec.Struct):
    """Counts of one season. unstored: announced in the log and killed before the commit."""

    database: str
    day: str = ""
    verdict: str = "ended early"
    """`held`, `broken`, or that its books were never read."""
    kills: int = 0
    while_starting: int = 0
    episodes: int = 0
    states: int = 0
    deliveries: int = 0
    retries: int = 0
    doubles: int = 0
    unstored: int = 0


ROWS: dict[str, Callable[[Season], int]] = {
    "seasons": lambda _: 1,
    "of these with an event or a delivery lost, invented or told otherwise": lambda s: s.verdict == "broken",
    "kills": lambda s: s.kills,
    "of these while starting": lambda s: s.while_starting,
    "episodes": lambda s: s.episodes,
    "states": lambda s: s.states,
    "deliveries": lambda s: s.deliveries,
    "deliveries that took more than one try": lambda s: s.retries,
    "messages accepted twice, all with the same `webhook-id` and bytes": lambda s: s.doubles,
    "events announced in the log and killed before they were on disk": lambda s: s.unstored,
}


@contextmanager
def entry(season: Season) -> Iterator[None]:
    """Write a season down when it ends, in order or not: one line, at once, whoever else is writing."""
    try:
        yield
        season.verdict = "held"
    except Exception:
        season.verdict = "broken"
        raise
    finally:
        season.day = f"{datetime.now(UTC):%Y-%m-%d}"
        FILE.parent.mkdir(exist_ok=True)
        with FILE.open("ab") as file:
            file.write(msgspec.json.encode(season) + b"\n")


def table(seasons: Sequence[Season]) -> str:
    """Sums over the seasons whose books were read, as a Markdown table."""
    columns: defaultdict[tuple[str, str], list[Season]] = defaultdict(list)
    for season in seasons:
        if season.verdict != "ended early":
            columns[season.day, season.database].append(season)
    ordered = sorted(columns)
    lines = [["", *(f"{day} {database}" for day, database in ordered)], ["---"] * (len(ordered) + 1)]
    lines += [[name, *(f"{sum(map(of, columns[at])):,}" for at in ordered)] for name, of in ROWS.items()]
    return "".join(f"| {' | '.join(cells)} |\n" for cells in lines)


if __name__ == "__main__":
    sys.stdout.write(
        table([msgspec.json.decode(line, type=Season) for line in FILE.read_bytes().splitlines()])
    )
