"""Runs a Dockerfile's steps without a container engine: each stage is a layer over this machine, in mounts of its own.

What stands for the base image is this machine with a Python; everything a stage makes lies in its folder. Needs root.
"""

import json
import os
import re
import shlex
import shutil
import subprocess
from dataclasses import dataclass, field
from pathlib import Path
from typing import Final

PASSED_ON: Final = ("PIP_", "SSL_", "HTTP_PROXY", "HTTPS_PROXY", "NO_PROXY")
"""What an engine would also give to a build: where packages come from."""


def possible() -> bool:
    """Whether this machine lets us mount."""
    if os.geteuid() or shutil.which("unshare") is None:
        return False
    return subprocess.run(["unshare", "--mount", "true"], check=False).returncode == 0  # noqa: S607


@dataclass
class Stage:
    """One stage: its layer on the disk, and what its instructions said."""

    folder: Path
    env: dict[str, str] = field(
        default_factory=lambda: {"PATH": "/usr/local/bin:/usr/bin:/bin:/usr/sbin:/sbin"}
    )
    workdir: str = "/"
    user: str = "0:0"
    said: dict[str, str] = field(default_factory=dict)

    @property
    def layer(self) -> Path:
        """Everything this stage has changed."""
        return self.folder / "layer"

    def words(self, instruction: str) -> list[str]:
        """The JSON form of ENTRYPOINT, CMD and the like."""
        found: list[str] = json.loads(self.said[instruction])
        return found

    def command(
        self,
        words: list[str],
        *,
        user: str = "",
        env: dict[str, str] | None = None,
        binds: dict[str, Path] | None = None,
    ) -> list[str]:
        """A command that runs `words` inside, its root read-only where binds are given: path inside to folder outside."""
        root = self.folder / "root"
        lines = [
            "set -e",
            f"mount -t overlay overlay -o lowerdir=/,upperdir={self.layer},workdir={self.folder / 'work'} {root}",
            *(f"mount --rbind {each} {root}{each}" for each in ("/dev", "/proc")),
            f"mount -t tmpfs -o mode=1777 tmpfs {root}/tmp",  # noqa: S108  # the one inside
            *(f"mount --bind {outside} {root}{inside}" for inside, outside in (binds or {}).items()),
            f"mount -o remount,ro {root}" if binds is not None else "true",
        ]
        given = [f"{name}={value}" for name, value in {**self.env, **(env or {})}.items()]
        inside = f"cd {self.workdir} && exec {shlex.join(words)}"
        last = [
            "exec",
            "chroot",
            f"--userspec={user or self.user}",
            str(root),
            "env",
            "-i",
            *given,
            "sh",
            "-c",
            inside,
        ]
        return ["unshare", "--mount", "sh", "-c", "\n".join([*lines, shlex.join(last)])]


class Build:
    """Builds the stages of a Dockerfile in a folder. python: the interpreter of the base image."""

    def __init__(self, context: Path, folder: Path, python: Path) -> None:
        self._context = context
        self._folder = folder
        self._python = python
        self.stages: dict[str, Stage] = {}

    def run(self) -> Stage:
        """Execute every instruction; the last stage."""
        for instruction, rest in instructions((self._context / "Dockerfile").read_text()):
            if instruction == "FROM":
                name = rest.partition(" AS ")[2] or "last"
                self.stages[name] = current = self._begin(name)
            else:
                self._execute(current, instruction, rest)
        return current

    def _begin(self, name: str) -> Stage:
        stage = Stage(self._folder / name)
        for part in ("layer/usr/local/bin", "layer/tmp", "work", "root"):
            (stage.folder / part).mkdir(parents=True)
        for command in ("python", "python3"):
            (stage.layer / "usr/local/bin" / command).symlink_to(self._python)
        # An environment looks for its library beside /usr/local/bin, where a base image has it.
        (library,) = (self._python.parent.parent / "lib").glob("python3.*")
        (stage.layer / "usr/local/lib").mkdir()
        (stage.layer / "usr/local/lib" / library.name).symlink_to(library)
        # The interpreter may live in a folder that only root may enter.
        for parent in self._python.resolve().parents:
            if not parent.stat().st_mode & 0o001:
                (stage.layer / parent.relative_to("/")).mkdir(parents=True, exist_ok=True)
                (stage.layer / parent.relative_to("/")).chmod(0o711)
        stage.layer.chmod(0o755)
        return stage

    def _execute(self, stage: Stage, instruction: str, rest: str) -> None:
        match instruction:
            case "RUN":
                passed = {
                    name: value for name, value in os.environ.items() if name.upper().startswith(PASSED_ON)
                }
                command = stage.command(["/bin/sh", "-c", rest], env=passed)
                done = subprocess.run(command, capture_output=True, text=True, check=False)  # noqa: S603
                assert done.returncode == 0, f"RUN {rest}\n{done.stdout[-2000:]}\n{done.stderr[-4000:]}"
            case "COPY":
                self._copy(stage, rest.split())
            case "ENV":
                for each in shlex.split(rest):
                    name, _, value = each.partition("=")
                    stage.env[name] = re.sub(r"\$(\w+)", lambda found: stage.env[found[1]], value)
            case "WORKDIR":
                stage.workdir = rest
                (stage.layer / rest.lstrip("/")).mkdir(parents=True, exist_ok=True)
            case "USER":
                stage.user = rest
            case "HEALTHCHECK":
                stage.said[instruction] = rest.partition("CMD ")[2]
            case "LABEL" | "VOLUME" | "EXPOSE" | "STOPSIGNAL" | "ENTRYPOINT" | "CMD":
                stage.said[instruction] = rest
            case _:
                raise AssertionError(f"unknown instruction {instruction}")

    def _copy(self, stage: Stage, words: list[str]) -> None:
        source = self._context
        if words[0].startswith("--from="):
            source = self.stages[words.pop(0).removeprefix("--from=")].layer
        *names, last = words
        target = stage.layer / (stage.workdir + "/" + last if not last.startswith("/") else last).lstrip("/")
        for name in names:
            path = source / name.lstrip("/")
            if path.is_dir():
                shutil.copytree(path, target, symlinks=True, dirs_exist_ok=True)
            else:
                target.mkdir(parents=True, exist_ok=True)
                shutil.copy(path, target)


def instructions(text: str) -> list[tuple[str, str]]:
    """Instructions and what follows them, comments gone and lines joined."""
    lines = [line for line in text.splitlines() if not line.lstrip().startswith("#")]
    joined = "\n".join(lines).replace("\\\n", " ")
    found = [line.strip().partition(" ") for line in joined.splitlines() if line.strip()]
    return [(name, " ".join(rest.split())) for name, _, rest in found]
