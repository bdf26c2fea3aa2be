import gc
from collections.abc import Callable
from pathlib import Path

import pytest

from regimes.feeds.base import ObservationQueue
from regimes.history.tape.recorder import Recorder
from regimes.history.tape.segment import DONE, LIVE, segment_began_ms, segment_files
from regimes.history.tape.source import TapeSource
from regimes.observations import DataKind, FeedGap, Liquidation, MarkPrice, Observation, Tick
from regimes.timeframe import DAY_MS, HOUR_MS

from .support import ALL_KINDS, START_MS, StillClock, liquidation, record, settings, wait_for


def everything(folder: Path) -> list[Observation]:
    tape = TapeSource(folder)
    found = list(tape.steps(*tape.span()))
    assert not tape.damage
    return found


def written(recorder: Recorder, count: int) -> Callable[[], bool]:
    return lambda: recorder.state().written == count


def mark(number: int) -> MarkPrice:
    return MarkPrice(START_MS + number, "binanceusdm", "BTC/USDT", 100.0 + number)


def test_what_is_recorded_is_read_again_in_order_with_its_frame_and_time(tmp_path: Path) -> None:
    clock = StillClock(START_MS + 77)
    with Recorder(settings(tmp_path), clock) as recorder:
        for number in range(10):
            recorder.record(liquidation(number), f'{{"n":{number}}}')
    tape = TapeSource(tmp_path)
    records = list(tape.records(*tape.span()))
    assert [r.observation for r in records] == [liquidation(n) for n in range(10)]
    assert [r.frame for r in records] == [f'{{"n":{n}}}' for n in range(10)]
    assert {r.received_ms for r in records} == {START_MS + 77}
    assert recorder.state().written == 10
    assert recorder.state().bytes > 0


def test_only_the_kinds_asked_for_are_recorded_with_ticks_and_word_of_their_losses(tmp_path: Path) -> None:
    kinds: tuple[DataKind, ...] = ("liquidation", "candle")
    gaps = [FeedGap(START_MS, "v", kind, None, START_MS, None, "lost") for kind in kinds]
    record(tmp_path, [liquidation(0), mark(1), *gaps, Tick(START_MS)])
    assert everything(tmp_path) == [liquidation(0), gaps[0], Tick(START_MS)]


def test_frames_are_left_out_where_nobody_wants_them(tmp_path: Path) -> None:
    with Recorder(settings(tmp_path, frames=False), StillClock()) as recorder:
        recorder.record(liquidation(0), "frame")
    tape = TapeSource(tmp_path)
    assert [r.frame for r in tape.records(*tape.span())] == [None]


async def test_what_the_queue_conflates_is_recorded_and_the_engines_steps_are_known(tmp_path: Path) -> None:
    queue = ObservationQueue()
    given: list[Observation] = [mark(1), liquidation(0), mark(2), Tick(START_MS), mark(3), liquidation(1)]
    taken: list[Observation] = []
    with Recorder(settings(tmp_path, kinds=ALL_KINDS), StillClock()) as recorder:
        for observation in given:
            recorder.seen(observation)
            queue.put(observation)
        for observation in await queue.take(100):
            recorder.took(observation)
            taken.append(observation)
    tape = TapeSource(tmp_path)
    assert [r.observation for r in tape.records(*tape.span())] == given
    assert everything(tmp_path) == taken == [liquidation(0), Tick(START_MS), mark(3), liquidation(1)]


async def test_what_is_still_in_the_queue_at_the_end_is_recorded_as_not_taken(tmp_path: Path) -> None:
    with Recorder(settings(tmp_path), StillClock(START_MS + 1_500)) as recorder:
        recorder.seen(liquidation(0))
        recorder.seen(liquidation(1))
    tape = TapeSource(tmp_path)
    assert [r.superseded for r in tape.records(*tape.span())] == [True, True]
    assert list(tape.observations(*tape.span())) == [liquidation(0), liquidation(1)]


def test_what_goes_to_the_engine_past_the_queue_is_recorded(tmp_path: Path) -> None:
    with Recorder(settings(tmp_path), StillClock()) as recorder:
        recorder.took(liquidation(3))
    assert everything(tmp_path) == [liquidation(3)]


def test_a_full_queue_counts_what_it_does_not_record_and_says_so_on_the_tape(tmp_path: Path) -> None:
    recorder = Recorder(settings(tmp_path, queue=1000), StillClock())
    for number in range(1_500):  # the thread that writes has not begun
        recorder.record(liquidation(number))
    assert recorder.state().dropped == 500
    with recorder:
        pass
    tape = TapeSource(tmp_path)
    assert len(list(tape.steps(*tape.span()))) == 1000
    assert [str(d.reason) for d in tape.damage] == [
        "500 observations before it were not recorded, the disk was too slow"
    ]


def test_a_disk_that_takes_nothing_costs_what_was_seen_meanwhile_and_is_told(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    blocked = tmp_path / "tape"
    blocked.write_text("a file where the folder should be")
    clock = StillClock()
    with Recorder(settings(blocked, flush_seconds=0.05), clock) as recorder:
        recorder.record(liquidation(0))
        wait_for(lambda: recorder.state().dropped == 1)
        assert "tape" in recorder.state().error
        blocked.unlink()
        recorder.record(liquidation(1))
        wait_for(lambda: recorder.state().written == 1)
        assert not recorder.state().error
    tape = TapeSource(blocked)
    assert list(tape.steps(*tape.span())) == [liquidation(1)]
    assert "1 observations before it were not recorded" in str(tape.damage)


def test_a_new_file_is_begun_by_age_and_the_full_one_is_packed(tmp_path: Path) -> None:
    clock = StillClock()
    with Recorder(settings(tmp_path, segment_hours=1), clock) as recorder:
        for hour in range(3):
            clock.at(START_MS + hour * HOUR_MS)
            recorder.record(liquidation(hour))
            wait_for(written(recorder, hour + 1))
        live = [path for path in segment_files(tmp_path) if path.suffix == LIVE]
        assert len(live) == 1
    files = segment_files(tmp_path)
    assert [path.suffix for path in files] == [DONE] * 3
    assert [segment_began_ms(path) for path in files] == [START_MS + hour * HOUR_MS for hour in range(3)]
    assert everything(tmp_path) == [liquidation(hour) for hour in range(3)]


def test_a_new_file_is_begun_by_size(tmp_path: Path) -> None:
    with Recorder(settings(tmp_path, segment_mb=0.1, queue=1_000_000), StillClock()) as recorder:
        for number in range(30_000):
            recorder.record(liquidation(number), f'{{"random":{hash((number, "salt"))}}}')
    assert len(segment_files(tmp_path)) > 2
    assert everything(tmp_path) == [liquidation(number) for number in range(30_000)]


def test_packing_makes_many_small_blocks_a_few_large_ones_and_loses_nothing(tmp_path: Path) -> None:
    with Recorder(settings(tmp_path), StillClock()) as recorder:
        for number in range(40):
            recorder.record(liquidation(number))
            wait_for(written(recorder, number + 1))
        loose = segment_files(tmp_path)[0].stat().st_size
    tape = TapeSource(tmp_path)
    assert sum(len(run) for run in tape._runs) == 1
    assert segment_files(tmp_path)[0].stat().st_size < loose / 3
    assert everything(tmp_path) == [liquidation(number) for number in range(40)]


def test_old_files_go_by_age_and_by_size(tmp_path: Path) -> None:
    for day in range(4):
        clock = StillClock(START_MS + day * DAY_MS)
        with Recorder(settings(tmp_path, keep_days=2.5), clock) as recorder:
            recorder.record(liquidation(day))
    assert everything(tmp_path) == [liquidation(day) for day in (1, 2, 3)]
    with Recorder(settings(tmp_path, keep_gb=1e-7), StillClock(START_MS + 4 * DAY_MS)) as recorder:
        recorder.record(liquidation(4))
    assert len(segment_files(tmp_path)) == 0


def test_a_file_another_process_writes_is_never_deleted(tmp_path: Path) -> None:
    with Recorder(settings(tmp_path), StillClock()) as other:
        other.record(liquidation(0))
        wait_for(lambda: other.state().written == 1)
        late = StillClock(START_MS + 5000 * DAY_MS)
        with Recorder(settings(tmp_path, keep_days=1), late) as recorder:
            recorder.record(liquidation(1))
        assert [path.suffix for path in segment_files(tmp_path)] == [LIVE, DONE]


def test_the_files_are_readable_by_their_owner_alone(tmp_path: Path) -> None:
    record(tmp_path, [liquidation(0)])
    assert [path.stat().st_mode & 0o777 for path in segment_files(tmp_path)] == [0o600]


def test_memory_does_not_grow_with_what_was_recorded(tmp_path: Path) -> None:
    with Recorder(settings(tmp_path), StillClock()) as recorder:
        for number in range(20_000):
            recorder.record(liquidation(number))
            if number % 1000 == 0:
                wait_for(lambda: recorder.state().waiting == 0)
    gc.collect()
    assert recorder.state().waiting == 0
    assert recorder.state().written == 20_000
    assert isinstance(everything(tmp_path)[-1], Liquidation)
