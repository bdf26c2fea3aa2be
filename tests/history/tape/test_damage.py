"""Whatever happens to the files: everything readable is read, the rest is named by file and offset."""

import random
import shutil
from pathlib import Path

import pytest
from hypothesis import given, settings as examples, strategies as st

from regimes.errors import ConfigError, DataError
from regimes.history import open_source
from regimes.history.tape.block import HEAD_BYTES, MAGIC, Meta, Page, Record, pack, unpack, unpack_head
from regimes.history.tape.scan import Place, scan
from regimes.history.tape.segment import segment_files
from regimes.history.tape.source import TapeSource
from regimes.observations import Liquidation

from .support import START_MS, liquidation

META = Meta("1", ("BTC/USDT",), ("liquidation",), whole=False)
BLOCKS, EACH = 12, 5


def block(number: int, *, run: int = 1, segment_ms: int = START_MS) -> bytes:
    first = number * EACH
    records = [Record(liquidation(n).ts_ms, liquidation(n), f"frame {n}") for n in range(first, first + EACH)]
    return pack(Page(records, META), run=run, segment_ms=segment_ms, number=number)


def numbers(folder: Path) -> tuple[list[int], TapeSource]:
    tape = TapeSource(folder)
    found = [(one.ts_ms - START_MS) // 1000 for one in tape.steps(0, 2**60) if isinstance(one, Liquidation)]
    return found, tape


def of(*blocks: int) -> list[int]:
    return [n for number in blocks for n in range(number * EACH, number * EACH + EACH)]


def written(folder: Path, *files: bytes) -> None:
    folder.mkdir(parents=True, exist_ok=True)
    for place, data in enumerate(files):
        (folder / f"{place}.tape").write_bytes(data)


WHOLE = [block(number) for number in range(BLOCKS)]
ENDS = [sum(map(len, WHOLE[: n + 1])) for n in range(BLOCKS)]


@examples(deadline=None)
@given(cut=st.integers(0, ENDS[-1]))
def test_of_a_truncated_file_every_whole_block_is_read_and_the_torn_tail_is_named(
    tmp_path_factory: pytest.TempPathFactory, cut: int
) -> None:
    folder = tmp_path_factory.mktemp("tape")
    written(folder, b"".join(WHOLE)[:cut])
    left = sum(end <= cut for end in ENDS)
    found, tape = numbers(folder)
    assert found == of(*range(left))
    begin = ([0, *ENDS])[left]
    named = [(one.path.name, one.offset, one.size) for one in tape.damage]
    assert named == ([("0.tape", begin, cut - begin)] if cut > begin else [])


@examples(deadline=None, max_examples=200)
@given(at=st.integers(0, ENDS[-1] - 1), bit=st.integers(0, 7))
def test_one_wrong_bit_costs_its_block_alone_and_is_named_by_file_and_offset(
    tmp_path_factory: pytest.TempPathFactory, at: int, bit: int
) -> None:
    folder = tmp_path_factory.mktemp("tape")
    data = bytearray(b"".join(WHOLE))
    data[at] ^= 1 << bit
    written(folder, bytes(data))
    hit = sum(end <= at for end in ENDS)
    found, tape = numbers(folder)
    assert found == of(*(n for n in range(BLOCKS) if n != hit))
    begin = ([0, *ENDS])[hit]
    assert any(one.path.name == "0.tape" and one.offset == begin and one.size for one in tape.damage)


@examples(deadline=None, max_examples=60)
@given(seed=st.integers(0, 2**32))
def test_blocks_in_any_order_doubled_and_with_rubbish_between_are_read_once_each_in_order(
    tmp_path_factory: pytest.TempPathFactory, seed: int
) -> None:
    chance = random.Random(seed)
    folder = tmp_path_factory.mktemp("tape")
    kept = [n for n in range(BLOCKS) if chance.random() < 0.9] or [0]
    pieces = [WHOLE[n] for n in [*kept, *chance.choices(kept, k=6)]]
    chance.shuffle(pieces)
    rubbish = [chance.randbytes(chance.randint(0, 60)) + chance.choice([b"", MAGIC]) for _ in pieces]
    parts = [piece + waste for piece, waste in zip(pieces, rubbish, strict=True)]
    middle = chance.randint(0, len(parts))
    written(folder, b"".join(parts[:middle]), b"".join(parts[middle:]))
    found, tape = numbers(folder)
    assert found == of(*kept)
    assert sum(one.size for one in tape.damage) == sum(map(len, rubbish))


@examples(deadline=None, max_examples=60)
@given(data=st.binary(max_size=4000))
def test_a_file_of_rubbish_is_named_as_such(tmp_path_factory: pytest.TempPathFactory, data: bytes) -> None:
    folder = tmp_path_factory.mktemp("tape")
    written(folder, data, WHOLE[0])
    found, tape = numbers(folder)
    assert found == of(0)
    assert sum(one.size for one in tape.damage) == len(data)


def test_files_whose_names_say_nothing_are_put_in_the_order_of_their_blocks(tmp_path: Path) -> None:
    written(tmp_path, *(b"".join(WHOLE[n : n + 3]) for n in (6, 0, 9, 3)))
    assert numbers(tmp_path)[0] == of(*range(BLOCKS))


def test_where_one_copy_is_damaged_the_other_is_read(tmp_path: Path) -> None:
    data = b"".join(WHOLE)
    damaged = bytearray(data)
    damaged[ENDS[3] - 1] ^= 1
    written(tmp_path, bytes(damaged), data[: ENDS[5]])
    found, tape = numbers(tmp_path)
    assert found == of(*range(BLOCKS))
    assert [(one.path.name, one.offset, one.reason) for one in tape.damage] == [
        ("0.tape", ENDS[2], "the checksum does not fit")
    ]


def test_blocks_that_are_nowhere_are_told_by_their_numbers(tmp_path: Path) -> None:
    written(tmp_path, b"".join([*WHOLE[:2], *WHOLE[5:]]))
    found, tape = numbers(tmp_path)
    assert found == of(0, 1, *range(5, BLOCKS))
    assert [str(one) for one in tape.damage] == [
        f"{tmp_path / '0.tape'}: 0 bytes at offset {ENDS[1]}: blocks 2 to 4 of this run, before it, are missing"
    ]


def test_two_processes_that_recorded_together_are_merged_by_arrival(tmp_path: Path) -> None:
    mine = b"".join(block(number, run=1) for number in range(0, 8, 2))
    other = b"".join(block(number, run=2) for number in range(1, 8, 2))
    written(tmp_path, mine, other)
    assert numbers(tmp_path)[0] == of(*range(8))


def test_a_copy_of_the_whole_tape_changes_nothing(tmp_path: Path) -> None:
    written(tmp_path, b"".join(WHOLE))
    shutil.copy(tmp_path / "0.tape", tmp_path / "copy.live")
    found, tape = numbers(tmp_path)
    assert found == of(*range(BLOCKS))
    assert not tape.damage
    assert tape.metas == (META,)


def test_a_span_is_read_without_what_lies_outside_it(tmp_path: Path) -> None:
    written(tmp_path, b"".join(WHOLE))
    tape = TapeSource(tmp_path)
    from_ms, to_ms = START_MS + 17_000, START_MS + 31_000
    wanted = [liquidation(number) for number in range(17, 31)]
    assert list(tape.steps(from_ms, to_ms)) == wanted
    assert list(tape.observations(from_ms, to_ms)) == wanted
    assert tape.span() == (START_MS - 120_000, liquidation(BLOCKS * EACH - 1).ts_ms + 1)


def test_a_tape_of_which_nothing_is_readable_says_so(tmp_path: Path) -> None:
    written(tmp_path, b"nothing")
    with pytest.raises(DataError, match="nothing in this tape is readable"):
        TapeSource(tmp_path).span()


def test_a_folder_without_tape_is_none(tmp_path: Path) -> None:
    with pytest.raises(ConfigError, match="no tape there"):
        TapeSource(tmp_path)


def test_a_tape_is_recognised_as_history(tmp_path: Path) -> None:
    written(tmp_path, *WHOLE[:1])
    source = open_source(tmp_path)
    assert isinstance(source, TapeSource)
    assert len(list(source.observations(*source.span()))) == EACH


def test_a_head_whose_bytes_are_another_blocks_is_not_believed() -> None:
    head = unpack_head(WHOLE[0])
    assert head is not None
    with pytest.raises(DataError, match="checksum"):
        unpack(head, WHOLE[1][HEAD_BYTES:])
    assert unpack_head(WHOLE[0][: HEAD_BYTES - 1]) is None


def test_what_lies_in_an_empty_file_is_nothing(tmp_path: Path) -> None:
    written(tmp_path, b"")
    found: list[Place] = list(scan(segment_files(tmp_path)[0], []))
    assert found == []
