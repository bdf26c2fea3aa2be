"""The samples of docs/webhooks.md against bodies as they are really signed and sent."""

import json
import shutil
import subprocess
import sys
from typing import Any

import pytest

from regimes.alerting.message import pack, unpack
from regimes.alerting.render import render
from regimes.clock import SystemClock
from regimes.commands.webhooks.samples import sample
from regimes.delivery import signing
from regimes.delivery.base import Request
from regimes.delivery.endpoints import Endpoint, Kind
from regimes.delivery.targets.http import HttpTarget
from regimes.events import EventType, body
from tests.schema import SCHEMA, faults
from tests.test_docs import ROOT, blocks

PAGE = ROOT / "docs" / "webhooks.md"
OLD, NEW = "whsec_MfKQ9r8GKYqrTwjUPD8ILPZIo2LaLaSw", "whsec_plJ3nmyCDGBKInavdOK15jsl"
PYTHON = """
import json, sys
given = json.load(sys.stdin)
try:
    verify(given["secret"], given["headers"], given["body"].encode())
except ValueError as error:
    sys.exit(f"refused: {error}")
"""
NODE = """
const given = JSON.parse(require("node:fs").readFileSync(0, "utf8"));
try {
  verify(given.secret, given.headers, Buffer.from(given.body));
} catch (error) {
  console.error(`refused: ${error.message}`);
  process.exit(1);
}
"""


def request(*, late_s: int = 0) -> Request:
    """What an HTTP endpoint is sent while the secret is changed from OLD to NEW."""
    endpoint = Endpoint(name="http-all-1", kind=Kind.HTTP, routes=frozenset({"ALL"}), url="http://127.0.0.1/")
    now_ms = SystemClock().now_ms()
    event = body(sample(EventType.LIQUIDATION_CASCADE, now_ms), links={"dashboard": "https://example.com/€"})
    parcel = unpack(pack(event, render(event)))
    target = HttpTarget(endpoint, signing.parse_secrets(f"{NEW},{OLD}"))
    return target.request(
        parcel.message, bytes(parcel.event), edit=None, memory={}, now_s=now_ms // 1000 - late_s
    )


def sample_in(language: str) -> list[str]:
    """The command line that runs the sample and hands it what stands on standard input."""
    if language == "python":
        (code,) = (block for block in blocks(PAGE, "python") if "def verify" in block)
        return [sys.executable, "-c", code + PYTHON]
    node = shutil.which("node")
    if node is None:
        pytest.skip("node is not on PATH")
    (code,) = blocks(PAGE, "javascript")
    return [node, "-e", code + NODE]


def run(language: str, sent: Request, secret: str, **changes: Any) -> subprocess.CompletedProcess[str]:
    headers = {name.lower(): value for name, value in sent.headers.items()}
    given = {"secret": secret, "headers": headers, "body": sent.body.decode()} | changes
    return subprocess.run(  # noqa: S603  # our own samples
        sample_in(language), input=json.dumps(given), capture_output=True, text=True, timeout=60, check=False
    )


@pytest.mark.parametrize("language", ["python", "node"])
def test_the_sample_accepts_either_secret_while_it_is_changed(language: str) -> None:
    for secret in (NEW, OLD):
        done = run(language, request(), secret)
        assert done.returncode == 0, done.stderr


@pytest.mark.parametrize("language", ["python", "node"])
def test_the_sample_refuses_what_was_changed_or_is_old_or_signed_by_another(language: str) -> None:
    sent = request()
    tampered = sent.body.decode().replace("CRITICAL", "INFO")
    stripped = {name.lower(): value for name, value in sent.headers.items()} | {"webhook-signature": "v1,"}
    for done, words in (
        (run(language, sent, NEW, body=tampered), "no signature matches"),
        (run(language, sent, "whsec_" + "A" * 32), "no signature matches"),
        (run(language, sent, NEW, headers=stripped), "no signature matches"),
        (run(language, request(late_s=400), NEW), "too old"),
    ):
        assert done.returncode == 1
        assert f"refused: {words}" in done.stderr


def test_the_event_on_the_page_fulfils_the_schema_and_has_every_key_in_its_order() -> None:
    (shown,) = blocks(PAGE, "json")
    event = json.loads(shown)
    assert faults(event) == []
    assert list(event) == list(SCHEMA["properties"])
