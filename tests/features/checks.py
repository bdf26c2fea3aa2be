"""The list of checks that every feature has to pass, whatever it computes."""

import math
from collections.abc import Callable, Iterable, Sequence
from typing import Any

import msgspec

from regimes.events import Event, Phase
from regimes.features.base import Feature, Output, Reading, Status
from regimes.observations import Observation, Tick
from tests.features.market import END_MS, changed_after, quiet

Make = Callable[[], Feature]
BASE_FIELDS = frozenset(Reading.__struct_fields__)
NO_NUMBERS = {Status.WARMING, Status.UNAVAILABLE}


def wanted(feature: Feature, observations: Iterable[Observation]) -> list[Observation]:
    return [observation for observation in observations if type(observation) in feature.wants]


def run(feature: Feature, observations: Iterable[Observation]) -> list[Output]:
    return [feature.update(observation) for observation in wanted(feature, observations)]


def encode(value: object) -> bytes:
    return msgspec.msgpack.encode(value, enc_hook=list)


def events_of(outputs: Iterable[Output]) -> list[Event]:
    return [event for output in outputs for event in output.events]


def leaves(value: Any, path: str = "") -> Iterable[tuple[str, Any]]:
    if isinstance(value, dict):
        for key, part in value.items():
            yield from leaves(part, f"{path}.{key}")
    elif isinstance(value, list | tuple):
        for index, part in enumerate(value):
            yield from leaves(part, f"{path}[{index}]")
    else:
        yield path, value


def assert_finite(value: object) -> None:
    for path, leaf in leaves(msgspec.to_builtins(value, enc_hook=list)):
        assert not (isinstance(leaf, float) and not math.isfinite(leaf)), f"{path} is {leaf}"


def check_says_nothing_before_data(make: Make, observations: Sequence[Observation]) -> None:
    feature = make()
    told = feature.update(Tick(END_MS)).readings
    assert feature.readings()
    for reading in (*told, *feature.readings()):
        assert reading.status in NO_NUMBERS
        own = {name: getattr(reading, name) for name in reading.__struct_fields__ if name not in BASE_FIELDS}
        assert [path for path, leaf in leaves(msgspec.to_builtins(own)) if isinstance(leaf, float)] == []


def check_speaks_in_the_end(make: Make, observations: Sequence[Observation]) -> None:
    feature = make()
    run(feature, observations)
    assert any(reading.status is Status.OK for reading in feature.readings())


def check_does_not_change_its_input(make: Make, observations: Sequence[Observation]) -> None:
    feature = make()
    before = encode(observations)
    run(feature, observations)
    assert encode(observations) == before


def check_replay_gives_the_same_bytes(make: Make, observations: Sequence[Observation]) -> None:
    assert encode(run(make(), observations)) == encode(run(make(), observations))


def check_snapshot_anywhere_changes_nothing(make: Make, observations: Sequence[Observation]) -> None:
    stream = wanted(make(), observations)
    uninterrupted = run(make(), stream)
    last_part = len(stream) * 3 // 4
    for cut in (1, len(stream) // 3, last_part, last_part + 1, last_part + 2, last_part + 3, len(stream) - 2):
        first, second = make(), make()
        before = run(first, stream[:cut])
        packed = encode(first.snapshot())
        second.restore(msgspec.msgpack.decode(packed))
        assert encode(second.snapshot()) == packed, f"a snapshot of a restored feature differs at {cut}"
        assert encode(second.readings()) == encode(first.readings())
        after = run(second, stream[cut:])
        assert encode([*before, *after]) == encode(uninterrupted), f"restart at {cut} changed what follows"
        assert encode(run(first, stream[cut:])) == encode(after), (
            f"taking a snapshot at {cut} changed the original"
        )


def check_later_data_change_nothing_before(make: Make, observations: Sequence[Observation]) -> None:
    stream = wanted(make(), observations)
    whole = run(make(), stream)
    for cut in (len(stream) // 2, len(stream) * 3 // 4, len(stream) - 20):
        other = run(make(), changed_after(stream, cut))
        assert encode(other[:cut]) == encode(whole[:cut])


def check_numbers_are_finite(make: Make, observations: Sequence[Observation]) -> None:
    feature = make()
    for output in run(feature, [*observations, *quiet(END_MS)]):
        assert_finite(output.readings)
        assert_finite(output.events)


def check_readings_are_pure(make: Make, observations: Sequence[Observation]) -> None:
    watched, plain = make(), make()
    for observation in wanted(watched, observations)[-2_000:]:
        first = encode(watched.readings())
        assert encode(watched.readings()) == first
        assert encode(watched.update(observation)) == encode(plain.update(observation))


def check_each_episode_opens_once_and_closes_once(make: Make, observations: Sequence[Observation]) -> None:
    events = events_of(run(make(), [*observations, *quiet(END_MS)]))
    assert events, "the market of these checks is violent enough to raise an event"
    episodes: dict[str, list[Event]] = {}
    for event in events:
        episodes.setdefault(event.id, []).append(event)
        assert event.started_ms <= event.ts_ms
        assert event.why
        assert event.title
        assert event.description
    for told in episodes.values():
        assert [event.revision for event in told] == list(range(len(told)))
        phases = [event.phase for event in told]
        assert phases[0] is Phase.OPENED
        assert all(phase is Phase.UPDATED for phase in phases[1:-1])
        assert Phase.OPENED not in phases[1:]


def check_quiet_time_ends_what_data_began(make: Make, observations: Sequence[Observation]) -> None:
    feature = make()
    events = events_of(run(feature, [*observations, *quiet(END_MS)]))
    last = {event.id: event for event in events}
    not_current = {r.symbol for r in feature.readings() if r.status is not Status.OK}
    for event in last.values():
        over = event.phase is Phase.CLOSED or event.symbol in not_current
        assert over, f"{event.title} is still open and its reading still says ok"


CHECKS = [value for name, value in globals().items() if name.startswith("check_")]
