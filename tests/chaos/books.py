"""What the database says after a disaster, held against what the receivers saw."""

import asyncio
from collections import Counter, defaultdict
from collections.abc import AsyncIterator, Sequence
from contextlib import asynccontextmanager

import msgspec

from regimes.alerting.bulletins import MANY
from regimes.events import Event, EventType
from regimes.pipeline.states import GIST
from regimes.storage.base import Delivery, DeliveryStatus
from regimes.storage.factory import database_for
from regimes.storage.store import Store
from tests.chaos.world import CRITICAL_USD, Receiver

EVERYTHING = 1_000_000
HEADER = f"{GIST}header"
CASCADE = EventType.LIQUIDATION_CASCADE


class Books(msgspec.Struct):
    """revisions: stored states of each event, in order. peaks: worst cascade severity of each event."""

    symbols: dict[str, str]
    revisions: dict[str, list[int]]
    peaks: dict[str, int]
    cascades: set[str]
    of_service: set[str]
    """Events that no engine made: of the service itself, and of the policy."""
    closed: set[str]
    order: Sequence[tuple[str, str]]
    """Event and phase of each state, as they were stored."""
    deliveries: Sequence[Delivery]
    decided: set[tuple[str, int, str]]
    """Event, revision and endpoint of all that was to be sent."""
    ambiguous: Counter[str]
    """Tries of each delivery that were sent and brought no answer."""
    liquidated_usd: dict[str, float]
    open_in_engine: set[str]

    def of(self, symbol: str) -> list[str]:
        """Ids of the cascades of a symbol."""
        return [event_id for event_id in self.cascades if self.symbols[event_id] == symbol]


@asynccontextmanager
async def opened(url: str) -> AsyncIterator[Store]:
    """The service's database, beside it or after it."""
    storage = database_for(url)
    await storage.open()
    try:
        yield storage
    finally:
        await storage.close()


async def read(storage: Store) -> Books:
    """Read everything."""
    rows = await storage.read(
        lambda session: session.rows(
            "SELECT id, revision, symbol, phase, body, event_type FROM market_events ORDER BY position"
        )
    )
    sent = await storage.read(
        lambda session: session.rows(
            "SELECT event_id, revision, endpoint FROM decisions WHERE action IN ('send', 'edit')"
        )
    )
    unanswered = await storage.read(
        lambda session: session.rows("SELECT delivery_id FROM webhook_logs WHERE outcome = 'ambiguous'")
    )
    usd = await storage.read(
        lambda session: session.rows("SELECT symbol, sum(quote_usd) FROM liquidations GROUP BY symbol")
    )
    state = await storage.load_state()
    kept = msgspec.msgpack.decode(state[HEADER])["open_events"] if HEADER in state else []
    revisions: defaultdict[str, list[int]] = defaultdict(list)
    peaks: defaultdict[str, int] = defaultdict(int)
    for event_id, revision, _, _, body, _ in rows:
        revisions[event_id].append(revision)
        severity = msgspec.json.decode(body)["data"].get("severity")
        peaks[event_id] = max(peaks[event_id], severity if isinstance(severity, int) else 0)
    return Books(
        symbols={row[0]: row[2] for row in rows},
        revisions=dict(revisions),
        peaks=dict(peaks),
        cascades={row[0] for row in rows if row[5] == CASCADE},
        of_service={row[0] for row in rows if row[5].startswith("SYSTEM") or row[2] == MANY},
        order=[(row[0], row[3]) for row in rows],
        closed={row[0] for row in rows if row[3] == "closed"},
        deliveries=await storage.deliveries(event_id=None, status=None, limit=EVERYTHING),
        decided={tuple(row) for row in sent},
        ambiguous=Counter(row[0] for row in unanswered),
        liquidated_usd=dict(usd),
        open_in_engine={event.id for event in msgspec.convert(kept, list[Event])},
    )


def check(books: Books, hooks: Sequence[Receiver], endpoints: Sequence[str]) -> None:
    """Nothing lost, nothing doubled, nothing invented."""
    for event_id, revisions in books.revisions.items():
        assert revisions == list(range(len(revisions))), (
            f"states missing of {books.symbols[event_id]}: {revisions}"
        )
    overlapping = [symbol for symbol in set(books.symbols.values()) if not _in_turn(books, symbol)]
    assert not overlapping, f"an episode began before the last one had ended: {overlapping}"
    ours = books.revisions.keys() - books.of_service
    assert books.open_in_engine == ours - books.closed, "the engine and its events do not agree"

    stored = {(d.event_id, d.revision, d.endpoint) for d in books.deliveries}
    assert books.decided <= stored, "decided, yet no delivery"
    ends = {d.status for d in books.deliveries}
    assert ends <= {DeliveryStatus.DELIVERED, DeliveryStatus.SUPERSEDED}, ends
    newest: dict[tuple[str, str], Delivery] = {}
    for d in books.deliveries:
        key = (d.endpoint, d.collapse_key)
        if key not in newest or (newest[key].revision, newest[key].reminder) < (d.revision, d.reminder):
            newest[key] = d
    assert {d.status for d in newest.values()} <= {DeliveryStatus.DELIVERED}, (
        "the newest state was not delivered"
    )

    for hook, endpoint in zip(hooks, endpoints, strict=True):
        mine = {d.id: d for d in books.deliveries if d.endpoint == endpoint}
        assert hook.bodies.keys() <= mine.keys(), "sent before it was stored"
        delivered = {d.id for d in mine.values() if d.status is DeliveryStatus.DELIVERED}
        lost = delivered - hook.accepted.keys()
        assert not lost, f"{len(lost)} marked delivered, never accepted"
        for name, bodies in hook.bodies.items():
            assert len(set(bodies)) == 1, f"one webhook-id, several bodies: {name}"
            whole = msgspec.json.decode(bodies[0])
            assert (whole["id"], whole["revision"]) == (mine[name].event_id, mine[name].revision)


def _in_turn(books: Books, symbol: str) -> bool:
    """Whether each cascade of a symbol ended before the next began."""
    mine = [(event_id, phase) for event_id, phase in books.order if event_id in books.of(symbol)]
    openings = [at for at, (_, phase) in enumerate(mine) if phase == "opened"]
    return all(at == 0 or mine[at - 1][1] == "closed" for at in openings)


def check_strikes(books: Books, struck: Sequence[str]) -> int:
    """Each symbol was struck once: at most one episode, and as severe as its stored liquidations are; how many."""
    found = 0
    for symbol in struck:
        episodes = books.of(symbol)
        assert len(episodes) <= 1, f"{symbol} was struck once and announced {len(episodes)} times"
        expected = severity(books.liquidated_usd.get(symbol, 0.0))
        peak = max((books.peaks[event_id] for event_id in episodes), default=0)
        if expected >= 3:
            assert peak >= expected, (
                f"{symbol}: {books.liquidated_usd[symbol]:,.0f} USD stored, told severity {peak}"
            )
        found += len(episodes)
    return found


def severity(usd: float) -> int:
    """What one hour's liquidations are worth, by the table that users are given; 0 below a cascade."""
    if usd <= CRITICAL_USD:
        return 0
    return 5 if usd >= 3 * CRITICAL_USD else 4 if usd >= 2 * CRITICAL_USD else 3


def check_doubles(books: Books, hooks: Sequence[Receiver]) -> None:
    """What nobody killed sends twice only what it has had no answer for."""
    for hook in hooks:
        for name, count in hook.accepted.items():
            assert count <= 1 + books.ambiguous[name], f"{name} was accepted {count} times"


def doubles(hooks: Sequence[Receiver]) -> int:
    """Acceptances beyond the first of the same `webhook-id`."""
    return sum(hook.accepted.total() - len(hook.accepted) for hook in hooks)


async def hurry(storage: Store) -> None:
    """Cut the waits of the schedule and of breakers short, as if hours had passed; leases stay."""
    await storage.write(
        lambda session: session.run("UPDATE deliveries SET next_at_ms = 0 WHERE status = 'pending'")
    )
    await storage.write(lambda session: session.run("DELETE FROM endpoints"))


async def is_settled(storage: Store) -> bool:
    """Whether no delivery waits."""
    waiting = "SELECT 1 FROM deliveries WHERE status = 'pending' LIMIT 1"
    return not await storage.read(lambda session: session.rows(waiting))


async def all_settled(storage: Store) -> None:
    """Wait until no delivery waits any more; another process settles them."""
    while not await is_settled(storage):  # noqa: ASYNC110
        await asyncio.sleep(0.1)
