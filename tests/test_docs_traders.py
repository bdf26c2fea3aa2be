"""The day that docs/traders.md tells of is what the engine and the policy say of the recordings."""

import json
import re
import subprocess
import sys
from pathlib import Path

import pytest

from tests.test_docs import ROOT

SPAN = ("--from", "2025-01-26", "--to", "2025-01-29")
NEWS = {"opened", "escalated"}
"""Reasons of a first message; reminders and edits are not in the table."""


@pytest.mark.timeout(300)
def test_the_messages_of_the_day_are_those_of_the_table(tmp_path: Path, data_dir: Path) -> None:
    done = subprocess.run(  # noqa: S603  # our own command
        [sys.executable, "-m", "regimes", "replay", str(data_dir), *SPAN, "--json"],
        capture_output=True,
        text=True,
        timeout=280,
        check=False,
        cwd=tmp_path,
    )
    assert done.returncode == 0, done.stderr
    sent = [
        event
        for event in map(json.loads, done.stdout.splitlines())
        if any(each["action"] == "send" and each["reason"] in NEWS for each in event.get("decisions", []))
    ]
    page = (ROOT / "docs" / "traders.md").read_text()
    rows = re.findall(r"^\| (20\S+ \S+) \| (.+) \|$", page, flags=re.MULTILINE)
    assert rows == [
        (
            event["at"][:16].replace("T", " "),
            " ".join(event[key] for key in ("severity", "event_type", "symbol", "phase")),
        )
        for event in sent
    ]
