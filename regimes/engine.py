"""The machine: observations go in one by one, readings and events come out; the same in, the same out."""

import hashlib
from collections import Counter
from collections.abc import Iterable, Mapping, Sequence, Set as AbstractSet
from typing import Any, Final

import msgspec

from regimes.errors import DataError
from regimes.events import Event, Phase
from regimes.features.base import (
    NEVER_DUE,
    NOTHING,
    Condensable,
    Feature,
    FeatureSettings,
    Need,
    Output,
    Reading,
    Replayable,
    Steady,
    Universe,
    longest,
)
from regimes.features.deferred import Joined
from regimes.features.foresight import Coming, Foreseen, foreseen
from regimes.features.latest import Latest
from regimes.features.pieces import Packer
from regimes.intake import AHEAD_MS, Intake, Rejection
from regimes.observations import Candle, Observation, Tick
from regimes.package import combine, market_state

SNAPSHOT_VERSION: Final = 5
HEADER: Final = "header"
"""Name of the part that says what the others are."""
_INTAKE: Final = "intake"
_pack: Final = msgspec.msgpack.Encoder().encode


class Outcome(msgspec.Struct, frozen=True, gc=False):
    """What one observation brought about. rejected: why it was refused, if it was."""

    readings: Sequence[Reading] = ()
    events: Sequence[Event] = ()
    rejected: Rejection | None = None


QUIET: Final = Outcome()


class Engine:
    """Takes observations past the intake to the features that want them, and keeps what they say.

    An unfinished bar is checked and moves time, but reaches no feature.

    Synchronous, without clock, randomness or input and output: time passes by `Tick` alone.

    latest: the newest reading by (feature name, symbol). open_events: events that have not been closed, by id.
    event_counts: events so far by (type, phase). An error inside a feature is a bug, and goes through.
    """

    def __init__(
        self,
        features: Sequence[Feature],
        universe: Universe,
        settings: Mapping[str, FeatureSettings],
        *,
        ahead_ms: int = AHEAD_MS,
    ) -> None:
        """Wire features together.

        settings: what they were built with, by section; a snapshot fits only the same. ahead_ms: how far ahead
        of the last Tick data may be.
        """
        self.features = tuple(features)
        self.universe = universe
        self.intake = Intake(universe, ahead_ms=ahead_ms)
        self.now_ms = 0
        self.open_events: dict[str, Event] = {}
        self.event_counts: Counter[tuple[str, str]] = Counter()
        self._fingerprint = _fingerprint(self.features, universe, settings)
        self._routes = _routes(self.features)
        self._stirs = _stirs(self._routes)
        self._stirred: set[str] = set()
        self._packer = Packer()
        self._kept: dict[str, dict[str, bytes]] = {}
        self._due_ms: dict[str, int] = {}
        self._replayable = [feature for feature in self.features if isinstance(feature, Replayable)]
        self.latest = self._all_readings()

    @classmethod
    def build(
        cls,
        types: Sequence[type[Feature]],
        universe: Universe,
        settings: Mapping[str, FeatureSettings] | None = None,
        *,
        ahead_ms: int = AHEAD_MS,
    ) -> "Engine":
        """Make the features and the engine. settings: by section; a section that is left out has its defaults."""
        chosen = {kind.section: (settings or {}).get(kind.section) or kind.settings_type() for kind in types}
        features = [kind(chosen[kind.section], universe) for kind in types]  # type: ignore[call-arg]
        return cls(features, universe, chosen, ahead_ms=ahead_ms)

    def step(self, observation: Observation) -> Outcome:
        """Take one observation."""
        rejection = self.intake.admit(observation)
        if rejection is not None:
            return Outcome(rejected=rejection)
        if isinstance(observation, Candle):
            # It tells of the time after it opened, never later than what it has seen.
            self._pass(observation.open_ms)
            if not observation.closed:
                return QUIET
        else:
            self._pass(observation.ts_ms)
        outcome, kind = QUIET, type(observation)
        if kind in self._stirs:
            self._stirred |= self._stirs[kind]
        for feature in self._routes.get(kind, ()):
            output = feature.update(observation)
            if output is not NOTHING:
                outcome = _joined(outcome, output)
                self._stirred.add(feature.name)
        if outcome is not QUIET:
            self._keep(outcome)
        return outcome

    def hush(self) -> None:
        """Ask for events only: `latest` and the packages grow old."""
        for feature in self._replayable:
            feature.quiet = True
        self.features = tuple(foreseen(feature) for feature in self.features)
        self._routes = _routes(self.features)
        self._replayable = [feature for feature in self.features if isinstance(feature, Replayable)]
        self._kept.clear()

    def foresee(self, observations: Iterable[Observation]) -> None:
        """Say what is about to come, so that many hours can be worked out together; changes nothing that is told."""
        coming = Coming(self.universe.symbols, observations)
        for feature in self.features:
            if isinstance(feature, Foreseen):
                feature.expect(coming)

    def due_ms(self, since: AbstractSet[type[Observation]] | None = None) -> int:
        """When a Tick can next move an episode if nothing else comes; 0: any Tick can.

        since: types of all that has come since this was last asked, so that only those features are asked again that
        want one of them; None: ask all.
        """
        if len(self._replayable) < len(self.features):
            return 0
        for feature in self._replayable:
            if since is None or not since.isdisjoint(feature.wants):
                self._due_ms[feature.name] = feature.due_ms()
        return min(self._due_ms.values(), default=NEVER_DUE)

    def skip_to(self, ts_ms: int) -> None:
        """Let time pass up to a Tick that can move nothing, as `due_ms` says, and of which no feature need hear."""
        if self.intake.admit(Tick(ts_ms)) is None:
            self._pass(ts_ms)

    def package(self, symbol: str, market: Mapping[str, Any] | None = None) -> dict[str, Any]:
        """Everything known of one symbol now, as JSON values; `ALL` is the market.

        market: what `market` said, where it was asked already.
        """
        return self._combine(symbol, self.market() if market is None else market)

    def packages(self) -> dict[str, dict[str, Any]]:
        """The package of every configured symbol."""
        market = self.market()
        return {symbol: self._combine(symbol, market) for symbol in self.universe.symbols}

    def market(self) -> dict[str, Any]:
        """NORMAL, ACTIVE or CRISIS, and why."""
        keys = {feature.name: feature.package_key for feature in self.features}
        return market_state(
            {(keys[name], symbol): reading for (name, symbol), reading in self.latest.items()}
        )

    def needs(self) -> tuple[Need, ...]:
        """The history to ask for: for each kind and bar length the longest span that any feature wants."""
        return tuple(longest(need for feature in self.features for need in feature.warmup()))

    def snapshot(self) -> bytes:
        """All state as bytes, from which `restore` goes on as if never interrupted."""
        features = {feature.name: feature.snapshot() for feature in self.features}
        return _pack({**self._header(), "intake": self.intake.snapshot(), "features": features})

    def gist(self) -> dict[str, bytes]:
        """A snapshot without the liquidations of the last day, in named parts of which the large ones change once an hour.

        So little need be written with each event, or packed: a part that is known not to have changed is the same
        object as before. To be restored over an earlier whole snapshot that has been given the liquidations since.
        """
        parts = self._packer.pack(_named(_INTAKE, self.intake.gist()))
        for feature in self.features:
            parts |= self._parts(feature)
        return self._headed(parts)

    def whole(self) -> dict[str, bytes]:
        """The snapshot in named parts; those that the gist has as well are the same objects."""
        parts = self._packer.pack(_named(_INTAKE, self.intake.snapshot()))
        for feature in self.features:
            if isinstance(feature, Condensable):
                parts |= self._packer.pack(_named(feature.name, feature.snapshot()))
            else:
                parts |= self._parts(feature)
        return self._headed(parts)

    def restore(self, snapshot: bytes) -> None:
        """Take back a snapshot into a fresh engine with the same features, settings and symbols.

        Raises DataError if it is damaged, of another version, or was made with other settings.
        """
        self._take_back(_decode(snapshot, {"intake", "features"}))

    def restore_parts(self, parts: Mapping[str, bytes]) -> None:
        """Take back `whole`, or a gist over that; parts its header does not name are passed over. Raises DataError as `restore`."""
        header = _decode(parts.get(HEADER, b""), {"parts"})
        state: dict[str, dict[str, Any]] = {name: {} for name in (_INTAKE, *(f.name for f in self.features))}
        for name in header["parts"]:
            owner, _, key = name.partition("/")
            if name not in parts or owner not in state:
                raise DataError(f"engine snapshot: part {name} is missing; start without it")
            state[owner][key] = msgspec.msgpack.decode(parts[name])
        self._take_back({**header, "intake": state.pop(_INTAKE), "features": state})

    def _pass(self, ts_ms: int) -> None:
        if ts_ms > self.now_ms:  # noqa: PLR1730 (max takes twice as long, for each observation)
            self.now_ms = ts_ms

    def _take_back(self, state: Mapping[str, Any]) -> None:
        if state["version"] != SNAPSHOT_VERSION:
            raise DataError(
                f"engine snapshot: version is {state['version']}, this program reads {SNAPSHOT_VERSION}; "
                "start without it, and the history is fetched again"
            )
        if state["fingerprint"] != self._fingerprint:
            raise DataError(
                "engine snapshot: it was made with other features, settings or symbols; "
                "start without it, and the history is fetched again"
            )
        self._kept.clear()
        self.now_ms = state["now_ms"]
        self.intake.restore(state["intake"])
        for feature in self.features:
            feature.restore(state["features"][feature.name])
        events = msgspec.convert(state["open_events"], list[Event])
        self.open_events = {event.id: event for event in events}
        self.latest = self._all_readings()

    def _parts(self, feature: Feature) -> dict[str, bytes]:
        """What a feature adds to the gist."""
        kept = self._kept.get(feature.name, {})
        if kept and isinstance(feature, Steady) and feature.name not in self._stirred:
            state = feature.passing()
        else:
            state = feature.gist() if isinstance(feature, Condensable) else feature.snapshot()
        self._stirred.discard(feature.name)
        self._kept[feature.name] = {**kept, **self._packer.pack(_named(feature.name, state))}
        return self._kept[feature.name]

    def _headed(self, parts: dict[str, bytes]) -> dict[str, bytes]:
        return {HEADER: _pack({**self._header(), "parts": list(parts)}), **parts}

    def _header(self) -> dict[str, Any]:
        return {
            "version": SNAPSHOT_VERSION,
            "fingerprint": self._fingerprint,
            "now_ms": self.now_ms,
            "open_events": list(self.open_events.values()),
        }

    def _combine(self, symbol: str, market: Mapping[str, Any]) -> dict[str, Any]:
        readings = {
            feature.package_key: self.latest[feature.name, symbol]
            for feature in self.features
            if (feature.name, symbol) in self.latest
        }
        return combine(symbol, self.now_ms, readings, market)

    def _keep(self, outcome: Outcome) -> None:
        if outcome.readings:
            self.latest.take(outcome.readings)
        for event in outcome.events:
            self.event_counts[event.type, event.phase] += 1
            if event.phase is Phase.CLOSED:
                self.open_events.pop(event.id, None)
            else:
                self.open_events[event.id] = event

    def _all_readings(self) -> Latest:
        latest = Latest()
        for feature in self.features:
            latest.take(feature.readings())
        return latest


def _joined(outcome: Outcome, output: Output) -> Outcome:
    if outcome is QUIET:
        return Outcome(output.readings, output.events)
    events = [*outcome.events, *output.events] if output.events else outcome.events
    if not output.readings:
        return Outcome(outcome.readings, events)
    return Outcome(Joined([outcome.readings, output.readings]), events)


def _routes(features: Sequence[Feature]) -> dict[type, tuple[Feature, ...]]:
    wanted = {kind for feature in features for kind in feature.wants}
    return {kind: tuple(feature for feature in features if kind in feature.wants) for kind in wanted}


def _stirs(routes: Mapping[type, Sequence[Feature]]) -> dict[type, set[str]]:
    """By type of observation the names of the features whose state any of them may change, however it is answered."""
    steady = {kind: {f.name for f in features if isinstance(f, Steady)} for kind, features in routes.items()}
    return {kind: names for kind, names in steady.items() if names and kind is not Tick}


def _named(owner: str, state: Mapping[str, Any]) -> dict[str, Any]:
    return {f"{owner}/{key}": value for key, value in state.items()}


def _fingerprint(
    features: Sequence[Feature], universe: Universe, settings: Mapping[str, FeatureSettings]
) -> str:
    """A short name for everything that a snapshot depends on."""
    parts = [
        [feature.name for feature in features],
        msgspec.to_builtins(universe),
        {section: table.model_dump(mode="json") for section, table in sorted(settings.items())},
    ]
    return hashlib.sha256(msgspec.json.encode(parts)).hexdigest()[:16]


def _decode(snapshot: bytes, also: AbstractSet[str]) -> dict[str, Any]:
    try:
        state = msgspec.msgpack.decode(snapshot)
    except msgspec.DecodeError as error:
        raise DataError(f"engine snapshot: not readable ({error}); start without it") from error
    needed = {"version", "fingerprint", "now_ms", "open_events", *also}
    if not isinstance(state, dict) or not needed <= state.keys():
        raise DataError("engine snapshot: parts are missing; start without it")
    return state
