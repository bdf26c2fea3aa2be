import msgspec
import pytest

from regimes.delivery import signing
from regimes.delivery.base import Response, Verdict
from regimes.delivery.endpoints import parse_endpoints
from regimes.delivery.targets.http import HttpTarget
from tests.delivery.messages import event, message

(ENDPOINT,) = parse_endpoints({"ALL": "https://example.com/hook"})
KEYS = (b"new" * 8, b"old" * 8)


def test_the_body_is_the_event_byte_for_byte_and_both_secrets_verify_it() -> None:
    body = msgspec.json.encode(event())
    request = HttpTarget(ENDPOINT, KEYS).request(message(), body, edit=None, memory={}, now_s=1000)
    assert request.body == body
    assert request.headers["Content-Type"] == "application/json"
    headers = {name.lower(): value for name, value in request.headers.items()}
    for key in KEYS:
        signing.verify([key], headers, request.body, now_s=1000)


def test_the_id_is_the_same_on_every_try_and_another_for_another_state() -> None:
    target = HttpTarget(ENDPOINT, KEYS)

    def webhook_id(revision: int, now_s: int) -> str:
        told = msgspec.structs.replace(message(), revision=revision)
        return target.request(told, b"{}", edit=None, memory={}, now_s=now_s).headers["webhook-id"]

    assert webhook_id(0, 1) == webhook_id(0, 999) == "evt_0123456789abcdef0123456789_0_http-all-1"
    assert webhook_id(1, 1) != webhook_id(0, 1)
    assert "." not in webhook_id(0, 1)


@pytest.mark.parametrize(
    ("status", "verdict"),
    [
        (200, Verdict.DELIVERED),
        (204, Verdict.DELIVERED),
        (301, Verdict.RETRY),
        (307, Verdict.RETRY),
        (400, Verdict.RETRY),
        (401, Verdict.PARK),
        (403, Verdict.PARK),
        (404, Verdict.PARK),
        (410, Verdict.PARK),
        (429, Verdict.RETRY),
        (500, Verdict.RETRY),
        (503, Verdict.RETRY),
    ],
)
def test_only_2xx_is_success(status: int, verdict: Verdict) -> None:
    assert HttpTarget(ENDPOINT).reply(Response(status, {}, b""), now_s=0).verdict is verdict


def test_retry_after_holds_up_to_an_hour() -> None:
    def hold_s(value: str) -> float | None:
        return HttpTarget(ENDPOINT).reply(Response(503, {"retry-after": value}, b""), now_s=0).hold_s

    assert hold_s("120") == 120
    assert hold_s("86400") == 3600
    assert hold_s("Thu, 01 Jan 1970 00:02:00 GMT") == 120
    assert hold_s("soon") is None


def test_a_request_shows_neither_url_nor_headers() -> None:
    request = HttpTarget(ENDPOINT, KEYS).request(message(), b"{}", edit=None, memory={}, now_s=0)
    assert repr(request) == "Request(POST, 2 bytes)"
