from typing import Any

import msgspec
import pytest
from jsonschema import Draft202012Validator

from regimes.alerting import bulletins
from regimes.alerting.message import pack, unpack
from regimes.alerting.render import render
from regimes.commands.webhooks.samples import sample
from regimes.events import EventType, Phase, body
from tests.schema import SCHEMA, faults

NOW_MS = 1_738_000_000_123


@pytest.mark.parametrize("kind", EventType)
def test_a_sample_of_each_type_fulfils_the_published_schema_and_says_it_is_a_test(kind: EventType) -> None:
    event = sample(kind, NOW_MS)
    assert event.type is kind
    sent = msgspec.json.decode(unpack(pack(body(event), render(body(event)))).event)
    assert faults(sent) == []
    assert sent["data"]["is_test"] is True
    assert "test" in sent["description"]
    assert render(body(event)).is_test


@pytest.mark.parametrize("kind", list(EventType)[:7])
def test_a_sample_of_a_market_event_shows_numbers_and_a_reason(kind: EventType) -> None:
    message = render(body(sample(kind, NOW_MS)))
    assert message.facts
    assert any(char.isdigit() for char in message.why)


def test_what_the_policy_makes_of_several_events_fulfils_the_schema_too() -> None:
    events = [sample(kind, NOW_MS) for kind in EventType]
    for made in (
        bulletins.burst(events[:5], NOW_MS - 30_000, NOW_MS),
        bulletins.digest(events, 3, NOW_MS),
        bulletins.cap_reached("x", 40, 40, NOW_MS),
    ):
        assert faults(msgspec.to_builtins(body(made, links={"dashboard": "https://example.com/"}))) == []


def test_the_schema_is_one_and_refuses_what_is_no_event() -> None:
    Draft202012Validator.check_schema(SCHEMA)
    good = msgspec.to_builtins(body(sample(EventType.REGIME_SHIFT, NOW_MS)))
    wrongs: tuple[dict[str, Any], ...] = (
        {"event_type": "SOMETHING"},
        {"severity": "warning"},
        {"source": "EXCHANGE"},
        {"phase": Phase.OPENED.name},
        {"id": "evt.1"},
        {"timestamp": 1},
        {"revision": -1},
        {"data": []},
        {"links": {"dashboard": None}},
    )
    for wrong in wrongs:
        assert faults(good | wrong), wrong
    for key in ("event_type", "timestamp", "symbol", "severity", "title", "data", "id", "why"):
        assert faults({name: value for name, value in good.items() if name != key}), key
    assert faults(good | {"added_later": 1}) == []
