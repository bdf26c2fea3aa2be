"""The files for operators say what the program understands, and the tools that read them accept them."""

import os
import re
import shutil
import subprocess
import sys
import tomllib
from pathlib import Path
from typing import Any

import pytest
import yaml
from packaging.requirements import Requirement
from packaging.version import Version

from regimes.config import load
from regimes.config.load import holds_secret, leaves
from regimes.config.settings import settings_type
from regimes.config.sources import PREFIX, VARIABLES
from tests.deploy.conftest import DEPLOY, ROOT

COMPOSE: Any = yaml.safe_load((ROOT / "compose.yaml").read_text())
UNIT = (DEPLOY / "regimes.service").read_text()


def known(name: str) -> bool:
    """Whether a variable is one of ours."""
    fields = dict(leaves(settings_type()))
    plain = name.removesuffix("_FILE")
    path = VARIABLES.get(plain) or plain.removeprefix(PREFIX).lower().replace("__", ".")
    return path in fields and (plain == name or holds_secret(fields[path]))


def run(*command: str, **options: Any) -> subprocess.CompletedProcess[str]:
    return subprocess.run(  # noqa: S603  # our own files
        command, capture_output=True, text=True, check=False, timeout=300, **options
    )


# -- Dockerfile ---------------------------------------------------------------------------------------------------


def test_the_linter_finds_nothing_in_the_dockerfile() -> None:
    done = run(str(Path(sys.executable).parent / "hadolint"), str(ROOT / "Dockerfile"))
    assert (done.returncode, done.stdout) == (0, "")


def locked(name: str) -> dict[str, list[tuple[Requirement, list[str]]]]:
    """Requirements of a file by name, with their hashes."""
    text = (DEPLOY / name).read_text().replace("\\\n", " ")
    found: dict[str, list[tuple[Requirement, list[str]]]] = {}
    for line in filter(None, map(str.strip, text.splitlines())):
        head, *hashes = line.split(" --hash=")
        requirement = Requirement(head)
        found.setdefault(requirement.name, []).append((requirement, [each.strip() for each in hashes]))
    return found


@pytest.mark.parametrize("name", ["requirements.txt", "build-requirements.txt"])
def test_what_goes_into_the_image_is_fixed_to_the_byte(name: str) -> None:
    for each in locked(name).values():
        for requirement, hashes in each:
            assert re.fullmatch(r"==[^,*]+", str(requirement.specifier)), requirement
            assert hashes
            assert all(re.fullmatch(r"sha256:[0-9a-f]{64}", one) for one in hashes)
    assert "://" not in (DEPLOY / name).read_text()


@pytest.mark.parametrize("version", ["3.11", "3.12", "3.13"])
def test_the_fixed_versions_are_those_the_project_asks_for(version: str) -> None:
    project = tomllib.loads((ROOT / "pyproject.toml").read_text())["project"]
    pinned = locked("requirements.txt")
    here = {"python_version": version, "python_full_version": f"{version}.0", "sys_platform": "linux"}
    for asked in map(Requirement, project["dependencies"]):
        (found,) = [one for one, _ in pinned[asked.name] if one.marker is None or one.marker.evaluate(here)]
        (pin,) = found.specifier
        assert asked.specifier.contains(Version(pin.version)), f"{asked} is fixed to {pin}: lock again"


# -- compose ------------------------------------------------------------------------------------------------------


def test_every_secret_of_compose_is_made_by_the_script_and_used(tmp_path: Path) -> None:
    assert run("sh", str(DEPLOY / "make-secrets.sh"), cwd=tmp_path).returncode == 0
    made = {path.name for path in (tmp_path / "secrets").iterdir()}
    assert {path["file"] for path in COMPOSE["secrets"].values()} == {f"./secrets/{name}" for name in made}
    used = {secret for service in COMPOSE["services"].values() for secret in service.get("secrets", [])}
    assert used == set(COMPOSE["secrets"])
    assert (tmp_path / "secrets").stat().st_mode & 0o077 == 0
    first = (tmp_path / "secrets" / "db_url").read_text()
    assert run("sh", str(DEPLOY / "make-secrets.sh"), cwd=tmp_path).returncode == 0
    assert (tmp_path / "secrets" / "db_url").read_text() == first, "a second call changes nothing"


def test_the_service_starts_from_what_compose_gives_it(tmp_path: Path) -> None:
    run("sh", str(DEPLOY / "make-secrets.sh"), cwd=tmp_path)
    given = COMPOSE["services"]["regimes"]["environment"]
    assert all(known(name) for name in given), given
    environ = {
        name: value.replace("/run/secrets", str(tmp_path / "secrets")) for name, value in given.items()
    }
    settings = load(environ={**environ, "REGIMES__WEB__HOST": "0.0.0.0"}, folder=tmp_path)  # noqa: S104
    assert settings.storage.url.get_secret_value().startswith("postgresql://regimes:")
    assert settings.web.token is not None
    assert settings.web.metrics_token is not None


def test_every_file_that_compose_mounts_is_there_and_every_volume_is_declared() -> None:
    for name, service in COMPOSE["services"].items():
        for mount in service.get("volumes", []):
            source = mount.split(":")[0]
            assert (ROOT / source).is_file() if source.startswith(".") else source in COMPOSE["volumes"], name
        for secret in re.findall(r"/run/secrets/(\w+)", str(service)):
            assert secret in service["secrets"]
    assert all(
        port.startswith("127.0.0.1:")
        for each in COMPOSE["services"].values()
        for port in each.get("ports", [])
    )


@pytest.mark.skipif(
    shutil.which("promtool") is None, reason="promtool is not installed (Debian package prometheus)"
)
def test_promtool_accepts_the_scraper_of_compose() -> None:
    done = run("promtool", "check", "config", "--syntax-only", str(DEPLOY / "prometheus.yml"))
    assert done.returncode == 0, done.stdout + done.stderr


# -- systemd ------------------------------------------------------------------------------------------------------

systemd = pytest.mark.skipif(shutil.which("systemd-analyze") is None, reason="systemd is not installed")


@systemd
@pytest.mark.parametrize("name", ["regimes.service", "regimes-backup.service", "regimes-backup.timer"])
def test_systemd_understands_every_line_of_the_units(name: str, tmp_path: Path) -> None:
    for unit in DEPLOY.glob("regimes*.*"):
        text = unit.read_text().replace("/opt/regimes/bin/regimes", "/bin/true")
        (tmp_path / unit.name).write_text(text)
    done = run("systemd-analyze", "verify", str(tmp_path / name))
    assert (done.returncode, done.stderr) == (0, "")


@systemd
def test_systemd_finds_the_service_well_confined() -> None:
    done = run(
        "systemd-analyze", "security", "--offline=true", "--threshold=15", str(DEPLOY / "regimes.service")
    )
    assert done.returncode == 0, done.stdout[-500:]


def test_every_variable_of_the_units_is_one_of_ours() -> None:
    names = re.findall(r"(\w+)=\S+", " ".join(re.findall(r"^Environment=(.+)$", UNIT, flags=re.MULTILINE)))
    assert set(names) >= {"DASHBOARD_TOKEN_FILE", "WEBHOOKS_ALL_FILE"}
    assert all(
        known(name) for name in names if name not in {"HOME", "REGIMES_CONFIG", "POLARS_SKIP_CPU_CHECK"}
    )


NO_WRITABLE_CODE = """
import ctypes, runpy, sys
PR_SET_MDWE, PR_MDWE_REFUSE_EXEC_GAIN = 65, 1
if ctypes.CDLL(None, use_errno=True).prctl(PR_SET_MDWE, PR_MDWE_REFUSE_EXEC_GAIN, 0, 0, 0):
    sys.exit(99)
sys.argv = ["regimes", "demo", "--once", "--json"]
runpy.run_module("regimes", run_name="__main__")
"""


@pytest.mark.timeout(400)
def test_the_service_makes_no_memory_executable(tmp_path: Path) -> None:
    """What MemoryDenyWriteExecute= forbids, by the kernel's own switch for it (Linux 6.3)."""
    (switch,) = re.findall(r"^Environment=(POLARS_SKIP_CPU_CHECK)=1$", UNIT, flags=re.MULTILINE)
    done = run(sys.executable, "-c", NO_WRITABLE_CODE, cwd=tmp_path, env={**os.environ, switch: "1"})
    if done.returncode == 99:
        pytest.skip("this kernel has no PR_SET_MDWE (Linux 6.3)")
    assert done.returncode == 0, done.stderr[-2000:]
