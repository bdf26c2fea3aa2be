import shutil
from pathlib import Path

import pytest

from bench import sse
from bench.sse_peers import BARE, NCHAN, bare, missing, nchan, ours


def test_peers_that_cannot_be_measured_are_named_with_what_they_need(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(shutil, "which", lambda _name: None)
    assert [words.partition(":")[0] for words in missing()] == [NCHAN, BARE]
    assert all("needs" in words for words in missing())


async def test_every_frame_reaches_every_reader_of_ours(tmp_path: Path) -> None:
    async with ours(tmp_path, 20) as server, sse.viewers(server, 20) as readers:
        spent = await sse.Contestant(server, readers, 20).turn(1.0)
        counts = await server.counts()
    assert (spent.lost, len(spent.late_ms)) == (0, 200)
    assert counts.clients == 20
    assert spent.us > 0


@pytest.mark.skipif(any(words.startswith(BARE) for words in missing()), reason="gcc is not installed")
async def test_the_send_loop_in_c_sends_the_same(tmp_path: Path) -> None:
    async with bare(tmp_path) as server, sse.viewers(server, 20) as readers:
        spent = await sse.Contestant(server, readers, 20).turn(1.0)
    assert (spent.lost, len(spent.late_ms)) == (0, 200)


@pytest.mark.skipif(
    any(words.startswith(NCHAN) for words in missing()),
    reason="nginx with nchan is not installed (Debian: nginx-light libnginx-mod-nchan)",
)
async def test_nginx_with_nchan_sends_the_same(tmp_path: Path) -> None:
    async with nchan(tmp_path, sse.free_port()) as server, sse.viewers(server, 20) as readers:
        spent = await sse.Contestant(server, readers, 20).turn(1.0)
    assert (spent.lost, len(spent.late_ms)) == (0, 200)
