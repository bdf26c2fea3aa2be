import pytest

from regimes.delivery.endpoints import parse_endpoints
from regimes.delivery.enqueue import Letter, new_delivery
from regimes.delivery.kinds import target_for, traits
from regimes.delivery.pace import Rate
from regimes.delivery.schedule import CHAT_WAITS_S, JSON_WAITS_S
from regimes.delivery.settings import DeliverySettings
from tests.delivery.harness import DISCORD, SLACK, TELEGRAM
from tests.delivery.messages import event, message

URLS = {"ALL": f"{DISCORD},{TELEGRAM},{SLACK},https://a.example/,ntfy://a.example/topic"}
BY_KIND = {endpoint.kind.value: endpoint for endpoint in parse_endpoints(URLS, with_apprise=True)}
MINUTE_MS = 60_000


def test_every_kind_has_its_target() -> None:
    assert {kind: target_for(endpoint).kind for kind, endpoint in BY_KIND.items()} == {
        kind: kind for kind in ("discord", "telegram", "slack", "http", "apprise")
    }


def test_chats_expire_in_an_hour_json_in_a_day() -> None:
    for kind, endpoint in BY_KIND.items():
        delivery = new_delivery(Letter.of(event(), message()), endpoint, now_ms=5)
        lives_ms = delivery.expires_at_ms - delivery.created_ms
        assert lives_ms == (24 * 60 if kind == "http" else 60) * MINUTE_MS
        assert traits(endpoint).waits_s == (JSON_WAITS_S if kind == "http" else CHAT_WAITS_S)
        assert traits(endpoint).workers == (8 if kind == "http" else 1)


def test_the_expiry_can_be_set() -> None:
    settings = DeliverySettings(chat_expiry_minutes=5, json_expiry_hours=2)
    lives = {
        kind: new_delivery(Letter.of(event(), message()), endpoint, now_ms=0, settings=settings).expires_at_ms
        for kind, endpoint in BY_KIND.items()
    }
    assert lives["discord"] == 5 * MINUTE_MS
    assert lives["http"] == 120 * MINUTE_MS


@pytest.mark.parametrize(
    ("chat_id", "rates"),
    [
        ("42", (Rate(1, 1.0),)),
        ("-42", (Rate(1, 1.0), Rate(20, 60.0))),
        ("@chan", (Rate(1, 1.0), Rate(20, 60.0))),
    ],
)
def test_a_telegram_group_is_slower_than_a_person(chat_id: str, rates: tuple[Rate, ...]) -> None:
    (endpoint,) = parse_endpoints({"ALL": TELEGRAM.replace("-100", chat_id)})
    assert traits(endpoint).rates == rates


def test_two_topics_of_one_group_share_its_pace() -> None:
    one, two = parse_endpoints({"ALL": f"{TELEGRAM},{TELEGRAM}&message_thread_id=4"})
    assert traits(one).pace_key == traits(two).pace_key


def test_a_delivery_is_named_by_event_state_reminder_and_endpoint() -> None:
    first = new_delivery(Letter.of(event(), message()), BY_KIND["http"], now_ms=5)
    assert first.id == "evt_0123456789abcdef0123456789_0_http-all-1"
    assert (first.collapse_key, first.next_at_ms) == (event().id, 5)
