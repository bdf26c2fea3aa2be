"""The image, built step by step without an engine, and run as an engine would: not as root, its root read-only."""

import asyncio
import fcntl
import os
import pickle
import signal
import subprocess
import sys
from collections.abc import AsyncIterator, Iterator
from contextlib import asynccontextmanager
from pathlib import Path

import pytest

from tests.deploy.conftest import ROOT, free_ports
from tests.deploy.image import Build, Stage, possible
from tests.e2e.process import Running
from tests.e2e.test_run import against, live_exchange

BASE_MB = 130
"""Of python:3.13-slim-bookworm, generously."""
LARGEST_MB = 450
TOKEN = "a-token-of-24-characters"  # noqa: S105
UID = 10001
PYTHON = Path(os.environ.get("REGIMES_IMAGE_PYTHON", sys.executable)).resolve()

pytestmark = [
    pytest.mark.skipif("REGIMES_IMAGE" not in os.environ, reason="downloads packages: set REGIMES_IMAGE=1"),
    pytest.mark.skipif(not possible(), reason="needs root, who may mount"),
    pytest.mark.timeout(1200),
]


@pytest.fixture(scope="module")
def image(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Stage]:
    """Built once for all processes that run tests; one at a time has it, as a layer bears one mount."""
    folder = tmp_path_factory.getbasetemp()
    folder = (folder.parent if "PYTEST_XDIST_WORKER" in os.environ else folder) / "image"
    folder.mkdir(exist_ok=True)
    for parent in [folder, *folder.parents][:3]:
        parent.chmod(0o755)
    built = folder / "built"
    with (folder / "lock").open("w") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)
        if not built.exists():
            built.write_bytes(pickle.dumps(Build(ROOT, folder, PYTHON).run()))
        yield pickle.loads(built.read_bytes())  # noqa: S301  # our own


@pytest.fixture
def data(image: Stage, tmp_path: Path) -> Path:
    folder = tmp_path / "data"
    folder.mkdir(mode=0o700)
    os.chown(folder, UID, UID)
    return folder


def inside(image: Stage, data: Path, *words: str, **env: str) -> subprocess.CompletedProcess[str]:
    command = image.command(list(words), env=env, binds={"/data": data})
    return subprocess.run(command, capture_output=True, text=True, check=False, timeout=120)  # noqa: S603


@asynccontextmanager
async def container(image: Stage, data: Path, **env: str) -> AsyncIterator[Running]:
    words = image.words("ENTRYPOINT") + image.words("CMD")
    process = await asyncio.create_subprocess_exec(
        *image.command(words, env=env, binds={"/data": data}), stderr=asyncio.subprocess.PIPE, limit=2**24
    )
    try:
        yield Running(process)
    finally:
        if process.returncode is None:
            process.kill()
            await process.wait()


def test_it_is_small(image: Stage) -> None:
    layer = image.layer / "opt"
    size_mb = sum(path.lstat().st_size for path in layer.rglob("*") if not path.is_dir()) / 1e6
    print(f"{size_mb:.0f} MB beside the base image")  # noqa: T201  # what was measured is printed
    assert size_mb + BASE_MB < LARGEST_MB


def test_every_module_is_compiled_and_its_bytecode_is_not_checked_again(image: Stage) -> None:
    (package,) = (image.layer / "opt/regimes/lib").glob("python*/site-packages/regimes")
    sources = list(package.rglob("*.py"))
    assert len(sources) > 200
    tag = f"cpython-3{package.parts[-3].removeprefix('python3').replace('.', '')}"
    for source in sources:
        flags = (source.parent / "__pycache__" / f"{source.stem}.{tag}.pyc").read_bytes()[4:8]
        assert int.from_bytes(flags, "little") == 1, source


def test_its_user_can_write_its_data_and_nothing_else(image: Stage, data: Path) -> None:
    assert inside(image, data, "id", "-u").stdout.strip() == str(UID)
    assert inside(image, data, "sh", "-c", "touch /data/a && rm /data/a").returncode == 0
    for folder in ("/opt/regimes", "/etc", "/usr/local/bin"):
        assert inside(image, data, "touch", f"{folder}/a").returncode != 0


def test_its_parts_work(image: Stage, data: Path) -> None:
    for words in (["regimes", "--version"], ["regimes", "selftest"]):
        done = inside(image, data, *words)
        assert done.returncode == 0, done.stdout + done.stderr


def test_without_a_token_it_does_not_open_itself_to_others(image: Stage, data: Path) -> None:
    done = inside(image, data, *image.words("ENTRYPOINT"), *image.words("CMD"))
    assert done.returncode == 2
    assert "a token is needed: set DASHBOARD_TOKEN" in done.stderr


async def test_it_runs_on_the_platforms_port_says_it_is_healthy_keeps_its_state_and_ends_in_order(
    image: Stage, data: Path
) -> None:
    port = str(*free_ports(1))
    health = image.words("HEALTHCHECK")
    async with live_exchange() as exchange:
        env = {**against(exchange), "DASHBOARD_TOKEN": TOKEN, "PORT": port}
        sick = await asyncio.to_thread(inside, image, data, *health, PORT=port)
        assert sick.returncode == 1
        async with container(image, data, **env) as service:
            await service.says("stream_connected", timeout_s=120)
            async with asyncio.timeout(60):  # an engine asks again, too
                while (await asyncio.to_thread(inside, image, data, *health, PORT=port)).returncode:
                    pass
            service.signal(signal.SIGTERM)
            assert await service.ends(timeout_s=20) == 0
    kept = owners(data)
    assert {"local.db", ".regimes"} <= kept.keys()
    assert set(kept.values()) == {UID}


def owners(folder: Path) -> dict[str, int]:
    return {path.name: path.stat().st_uid for path in folder.iterdir()}
