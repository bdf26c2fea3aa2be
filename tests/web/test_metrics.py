import asyncio
import re
import shutil
import socket
import subprocess
from collections import Counter
from contextlib import suppress
from pathlib import Path
from typing import Any

import aiohttp
import pytest
from prometheus_client.parser import text_string_to_metric_families

from regimes.alerting.records import Reason
from regimes.events import EventType, Phase, Severity
from regimes.history.tape.recorder import Recorder
from regimes.history.tape.settings import TapeSettings
from regimes.observations import Tick
from regimes.web import metrics as metrics_module
from tests.delivery.receivers import Receiver
from tests.web.service import TOKEN, event, liquidation, service

ROOT = Path(__file__).parent.parent.parent
EXAMPLES = ROOT / "config" / "examples"
promtool = pytest.mark.skipif(
    shutil.which("promtool") is None, reason="promtool is not installed (Debian package prometheus)"
)


def samples(text: str) -> dict[str, dict[tuple[tuple[str, str], ...], float]]:
    found: dict[str, dict[tuple[tuple[str, str], ...], float]] = {}
    for family in text_string_to_metric_families(text):
        for sample in family.samples:
            found.setdefault(sample.name, {})[tuple(sorted(sample.labels.items()))] = sample.value
    return found


async def test_every_count_is_there_from_the_beginning_and_no_series_twice(tmp_path: Path) -> None:
    async with service(
        tmp_path, delivery={"webhooks_all": "http://127.0.0.1:9/hook", "allow_cidrs": ("127.0.0.0/8",)}
    ) as running:
        _, text, headers = await running.get("/metrics")
    assert headers["Content-Type"].startswith("text/plain; version=")
    lines = [line for line in text.decode().splitlines() if not line.startswith("#")]
    series = Counter(line.rpartition(" ")[0] for line in lines)
    assert [name for name, count in series.items() if count > 1] == []
    found = samples(text.decode())
    assert len(found["regimes_events_total"]) == len(EventType) * len(Severity)
    assert len(found["regimes_events_held_back_total"]) == len(Reason)
    assert set(found["regimes_events_total"].values()) == {0.0}
    tries = {dict(labels)["outcome"] for labels in found["regimes_delivery_tries_total"]}
    assert tries == {"delivered", "retry", "ambiguous", "permanent", "blocked"}
    assert found["regimes_readings"][("feature", "volatility_regime"), ("status", "ok")] == 2.0
    assert found["process_resident_memory_bytes"][()] > 1e6


async def test_no_label_holds_a_symbol(tmp_path: Path) -> None:
    async with service(tmp_path) as running:
        running.feed(*(liquidation(f"S{n}/USDT", running.pipeline.clock.now_ms()) for n in range(50)))
        await running.emit(*(event(n, symbol=f"S{n}/USDT") for n in range(20)))
        _, text, _ = await running.get("/metrics")
    assert b"/USDT" not in text


async def test_what_happens_is_counted(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(metrics_module, "KEPT_S", 0.0)
    async with (
        Receiver().serving() as receiver,
        service(
            tmp_path,
            history=False,
            delivery={"webhooks_all": f"{receiver.base}/hook", "allow_cidrs": ("127.0.0.0/8",)},
        ) as running,
    ):
        await running.emit(
            event(1),
            event(1, revision=1, phase=Phase.CLOSED),
            event(2, severity=Severity.INFO),
            event(3, symbol="ETH/USDT", severity=Severity.CRITICAL),
        )
        endpoint = ("endpoint", "http-all-1")
        while True:
            found = samples((await running.get("/metrics"))[1].decode())
            if found["regimes_deliveries_total"][endpoint, ("status", "delivered")] >= 2:
                break
    kind = ("type", "VOLATILITY_REGIME")
    assert found["regimes_events_total"][("severity", "WARNING"), kind] == 1
    assert found["regimes_events_total"][("severity", "CRITICAL"), kind] == 1
    assert found["regimes_events_held_back_total"][(("reason", "below_minimum"),)] >= 1
    assert found["regimes_delivery_latency_seconds_count"][(endpoint,)] >= 2
    assert found["regimes_delivery_latency_seconds_bucket"][endpoint, ("le", "+Inf")] >= 2
    assert found["regimes_endpoint_breaker"][endpoint, ("state", "closed")] == 1
    assert found["regimes_storage_commit_seconds_count"][()] >= 1
    assert found["regimes_engine_observations_total"][()] == 0


async def test_a_scrape_within_a_second_is_the_same_text(tmp_path: Path) -> None:
    async with service(tmp_path, history=False) as running:
        first = (await running.get("/metrics"))[1]
        await running.emit(event(1))
        assert (await running.get("/metrics"))[1] == first


async def test_what_the_tape_could_not_take_is_counted(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(metrics_module, "KEPT_S", 0.0)
    blocked = tmp_path / "tape"
    blocked.write_text("a file where the folder should be")
    async with service(tmp_path, history=False) as running:
        clock = running.pipeline.clock
        with Recorder(TapeSettings(folder=blocked), clock) as recorder:
            recorder.record(Tick(clock.now_ms()))
        monkeypatch.setattr(running.pipeline, "_recorder", recorder)
        found = samples((await running.get("/metrics"))[1].decode())
    assert found["regimes_tape_dropped_total"][()] == 1
    assert found["regimes_tape_written_total"][()] == 0


async def test_the_metrics_token_reads_metrics_and_nothing_else(tmp_path: Path) -> None:
    scraper = "a-token-for-the-scraper"
    async with service(tmp_path, history=False, web={"token": TOKEN, "metrics_token": scraper}) as running:
        given = {"Authorization": f"Bearer {scraper}"}
        assert (await running.get("/metrics", headers=given))[0] == 200
        assert (await running.get("/api/events", headers=given))[0] == 401
        assert (await running.get("/metrics"))[0] == 401
        assert (await running.get("/metrics", headers={"Authorization": f"Bearer {TOKEN}"}))[0] == 200


async def test_every_metric_has_its_heading_in_the_documentation(tmp_path: Path) -> None:
    async with service(tmp_path) as running:
        text = (await running.get("/metrics"))[1].decode()
    ours = set(re.findall(r"^# TYPE (regimes_\w+)", text, flags=re.MULTILINE))
    documented = set(
        re.findall(r"^### (\w+)$", (ROOT / "docs" / "metrics.md").read_text(), flags=re.MULTILINE)
    )
    assert ours == documented


async def test_the_examples_use_only_metrics_that_exist(tmp_path: Path) -> None:
    async with service(tmp_path) as running:
        text = (await running.get("/metrics"))[1].decode()
    known = set(re.findall(r"^# TYPE (\w+)", text, flags=re.MULTILINE))
    for example in ("prometheus-rules.yml", "grafana-dashboard.json"):
        used = set(re.findall(r"\bregimes_[a-z_]+", (EXAMPLES / example).read_text()))
        bare = {re.sub(r"_(bucket|sum|count)$", "", name) for name in used}
        assert bare <= known, example


@promtool
async def test_promtool_finds_nothing_to_say_about_the_metrics(tmp_path: Path) -> None:
    async with service(tmp_path) as running:
        text = (await running.get("/metrics"))[1]
    ours = text[: text.index(b"# HELP process_")]
    assert await asyncio.to_thread(said, "check", "metrics", given=ours) == (0, "")


@promtool
@pytest.mark.parametrize(
    "arguments",
    [
        ("check", "rules", "prometheus-rules.yml"),
        ("check", "config", "--syntax-only", "prometheus.yml"),
        ("test", "rules", "prometheus-rules-test.yml"),
    ],
    ids=" ".join,
)
def test_promtool_accepts_the_examples(arguments: tuple[str, ...]) -> None:
    code, words = said(*arguments)
    assert code == 0, words


@pytest.mark.skipif(
    shutil.which("prometheus") is None, reason="prometheus is not installed (Debian package prometheus)"
)
async def test_a_real_prometheus_scrapes_us_and_evaluates_the_rules(tmp_path: Path) -> None:
    port = free_port()
    async with service(tmp_path, history=False) as running:
        config = (EXAMPLES / "prometheus.yml").read_text()
        config = config.replace("127.0.0.1:8000", f"127.0.0.1:{running.port}").replace("15s", "1s")
        config = config.replace("prometheus-rules.yml", str(EXAMPLES / "prometheus-rules.yml"))
        (tmp_path / "prometheus.yml").write_text(config)
        scraper = await asyncio.create_subprocess_exec(
            "prometheus",
            f"--config.file={tmp_path / 'prometheus.yml'}",
            f"--storage.tsdb.path={tmp_path / 'tsdb'}",
            f"--web.listen-address=127.0.0.1:{port}",
            stdout=asyncio.subprocess.DEVNULL,
            stderr=asyncio.subprocess.DEVNULL,
        )
        try:
            async with aiohttp.ClientSession(f"http://127.0.0.1:{port}") as client:
                (up,) = await answered(client, "/api/v1/query?query=up", "result")
                assert up["value"][1] == "1"
                (live,) = await answered(client, "/api/v1/query?query=regimes_live", "result")
                assert live["metric"]["job"] == "regimes"
                (group,) = await answered(client, "/api/v1/rules", "groups")
                async with asyncio.timeout(30):
                    while any(rule["health"] == "unknown" for rule in group["rules"]):
                        (group,) = await answered(client, "/api/v1/rules", "groups")
        finally:
            scraper.kill()
            await scraper.wait()
    assert {rule["health"] for rule in group["rules"]} == {"ok"}


async def answered(client: aiohttp.ClientSession, path: str, key: str) -> list[Any]:
    """Ask until there is something."""
    async with asyncio.timeout(30):
        while True:
            with suppress(aiohttp.ClientError):
                async with client.get(path) as answer:
                    told = (await answer.json()) if answer.status == 200 else {"data": {key: []}}
                if told["data"][key]:
                    return list(told["data"][key])
            await asyncio.sleep(0.1)


def free_port() -> int:
    """A port below those that the system gives out by itself."""
    for port in range(20_000, 30_000, 7):
        with socket.socket() as tried, suppress(OSError):
            tried.bind(("127.0.0.1", port))
            return port
    raise AssertionError("no port is free")


def said(*arguments: str, given: bytes | None = None) -> tuple[int, str]:
    """How promtool ended and what it said."""
    command = [shutil.which("promtool") or "promtool", *arguments]
    done = subprocess.run(command, cwd=EXAMPLES, input=given, capture_output=True, check=False)  # noqa: S603
    return done.returncode, (done.stdout + done.stderr).decode()
