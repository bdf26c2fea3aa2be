import json
import re
import signal
from pathlib import Path
from typing import Any

from regimes.commands.demo.options import SPEED
from regimes.package import SIGNALS
from tests.delivery.receivers import Receiver
from tests.e2e.process import regimes, started
from tests.schema import faults

KINDS = ("LIQUIDATION_CASCADE", "VOLATILITY_REGIME", "CORRELATION_BREAK")


async def test_demo_once_prints_a_full_package_of_each_symbol_and_exits_0(tmp_path: Path) -> None:
    done = await regimes(tmp_path, "demo", "--once")
    assert done.code == 0, done.err
    packages = json.loads(done.out)
    assert [package["symbol"] for package in packages] == ["BTC/USDT", "ETH/USDT", "SOL/USDT"]
    for package in packages:
        assert {key: package[key]["status"] for key in SIGNALS} == dict.fromkeys(SIGNALS, "ok")
        regimes_ = package["regimes"]
        assert all(regimes_[f"{name}_regime"].startswith("SPOT_") for name in ("1h", "4h", "1d", "1w"))
        assert package["cascades"]["total_liquidation_usd"] > 0
        assert package["market"]["state"] in {"NORMAL", "ACTIVE", "CRISIS"}
        assert package["narrative"].startswith(package["symbol"])
    assert re.search(r"lost 0$", done.err, flags=re.MULTILINE)


def contents(folder: Path) -> list[Path]:
    return list(folder.iterdir())


async def test_demo_leaves_nothing_in_the_folder_it_is_run_in(tmp_path: Path) -> None:
    done = await regimes(tmp_path, "demo", "--duration", "60", "--speed", "600", "--scenario", "calm")
    assert done.code == 0, done.err
    assert contents(tmp_path) == []


async def test_demo_shows_a_cascade_ends_by_itself_and_counts_what_was_sent(tmp_path: Path) -> None:
    done = await regimes(
        tmp_path, "demo", "--scenario", "cascade", "--speed", "600", "--duration", "3600", "--json"
    )
    assert done.code == 0, done.err
    events = [line for line in done.lines() if "event_type" in line]
    cascades = [event for event in events if event["event_type"] == "LIQUIDATION_CASCADE"]
    assert {event["phase"] for event in cascades} >= {"opened", "closed"}
    seen, sent = re.findall(r"liquidations: ([\d,]+) seen of ([\d,]+) sent", done.err)[0]
    assert seen == sent != "0"
    assert "lost 0" in done.err


async def test_every_alert_of_the_demo_arrives_at_each_kind_of_receiver_in_the_form_it_wants(
    tmp_path: Path,
) -> None:
    done = await regimes(
        tmp_path, "demo", "--scenario", "cascade", "--speed", "600", "--duration", "3600", "--json"
    )
    assert done.code == 0, done.err
    messages = [line["message"] for line in done.lines() if "message" in line]
    delivered, arrived = re.findall(
        r"alerts: ([\d,]+) messages delivered to 4 receivers, ([\d,]+) arrived", done.err
    )[0]
    assert delivered == arrived == str(len(messages))
    assert re.search(r"arrived.*, lost 0$", done.err, flags=re.MULTILINE)
    assert {one["target"] for one in messages} == {"discord", "telegram", "slack", "http"}
    assert {one["target"] for one in messages if one["changes"]} == {"discord", "telegram"}
    bodies = [one["body"] for one in messages if one["target"] == "http"]
    assert [faults(body) for body in bodies] == [[]] * len(bodies)
    known = {line["id"] for line in done.lines() if "event_type" in line}
    assert {body["id"] for body in bodies if body["source"] == "CASCADE"} <= known
    assert any(body["phase"] == "closed" for body in bodies)


async def test_within_two_minutes_a_visitor_has_seen_all_that_the_demo_is_for(tmp_path: Path) -> None:
    """Two minutes at the speed the demo has by itself, run faster; with the scenario it has by itself."""
    market_s = 120 * SPEED
    done = await regimes(tmp_path, "demo", "--speed", "600", "--duration", f"{market_s:g}", "--json")
    assert done.code == 0, done.err
    lines = done.lines()
    states: dict[str, list[dict[str, Any]]] = {}
    for event in (line for line in lines if "event_type" in line):
        states.setdefault(event["id"], []).append(event)
    kinds = {kind: [s for s in states.values() if s[0]["event_type"] == kind] for kind in KINDS}
    assert any(
        [s["phase"] for s in cascade] == ["opened", "updated", "closed"]
        and cascade[1]["data"]["severity"] > cascade[0]["data"]["severity"]
        for cascade in kinds["LIQUIDATION_CASCADE"]
    )
    assert all(kinds.values())
    messages = [line["message"] for line in lines if "message" in line]
    assert {message["target"] for message in messages} == {"discord", "telegram", "slack", "http"}
    told = {message["body"]["id"] for message in messages if message["target"] == "http"}
    for kind in ("LIQUIDATION_CASCADE", "CORRELATION_BREAK"):  # HIGH_VOL is INFO, which is for the page
        assert any(episode[0]["id"] in told for episode in kinds[kind]), kind
    last = [line for line in lines if "market" in line][-1]
    assert last["market"]["state"] == "ACTIVE"  # the crisis is over


async def test_the_demo_touches_neither_the_users_webhooks_nor_the_users_database(tmp_path: Path) -> None:
    async with Receiver().serving() as receiver:
        done = await regimes(
            tmp_path,
            "demo",
            "--scenario",
            "cascade",
            "--speed",
            "600",
            "--duration",
            "600",
            WEBHOOKS_ALL=f"{receiver.base}/mine",
            WEBHOOKS_ADMIN=f"{receiver.base}/mine",
            DB_URL=f"sqlite:///{tmp_path / 'mine.db'}",
            REGIMES__DELIVERY__ALLOW_CIDRS="127.0.0.0/8",
            REGIMES__DELIVERY__FALLBACK="http-all-1",
        )
    assert done.code == 0, done.err
    for target in ("discord", "telegram", "slack", "http"):
        assert re.search(rf"^  {target} +(new|edit) ", done.out, flags=re.MULTILINE), target
    assert "alerts: " in done.out
    assert receiver.seen == []
    assert contents(tmp_path) == []


async def test_two_runs_of_one_seed_open_the_same_events(tmp_path: Path) -> None:
    async def opened() -> set[tuple[str, str]]:
        done = await regimes(
            tmp_path,
            "demo",
            "--scenario",
            "cascade",
            "--seed",
            "5",
            "--speed",
            "1200",
            "--duration",
            "1800",
            "--json",
        )
        assert done.code == 0, done.err
        events = [line for line in done.lines() if line.get("event_type") == "LIQUIDATION_CASCADE"]
        return {(event["symbol"], event["id"]) for event in events}

    first = await opened()
    assert first
    assert await opened() == first


async def test_demo_replays_every_recorded_liquidation_of_a_real_crash(
    tmp_path: Path, data_dir: Path
) -> None:
    done = await regimes(
        tmp_path,
        "demo",
        "--data",
        str(data_dir),
        "--from",
        "2025-01-27T16:30Z",
        "--to",
        "2025-01-27T17:40Z",
        "--speed",
        "600",
    )
    assert done.code == 0, done.err
    assert "liquidations: 1,344 seen of 1,344 sent, 1,344 counted, lost 0" in done.out
    assert "LIQUIDATION_CASCADE BTC/USDT opened" in done.out
    assert "LIQUIDATION_CASCADE ALL opened" in done.out


async def test_demo_says_what_its_options_lack(tmp_path: Path) -> None:
    for arguments, words in (
        (("--data", str(tmp_path)), "--data needs --from and --to"),
        (("--data", str(tmp_path), "--from", "2025-01-27T13:00Z", "--to", "2025-01-27T14:00Z"), "candles"),
        (("--scenario", "clam"), "--scenario clam: must be one of calm"),
        (("--from", "2025-01-27T13:00Z", "--to", "2025-01-27T12:00Z"), "--to must be later than --from"),
        (("--from", "yesterday"), "2025-01-27T13:00Z"),
        (("--speed", "0"), "speed"),
    ):
        done = await regimes(tmp_path, "demo", *arguments)
        assert done.code == 2, arguments
        assert words in done.err, done.err
        assert "Traceback" not in done.err


async def test_ctrl_c_ends_the_demo_quietly_with_its_summary(tmp_path: Path) -> None:
    async with started(tmp_path, "demo", "--json", "--scenario", "calm") as demo:
        await demo.says("streams connected")
        demo.signal(signal.SIGINT)
        assert await demo.ends(timeout_s=10) == 0
    said = "".join(demo.said)
    assert "lost 0" in said
    assert "Traceback" not in said
