import time

import pytest

from regimes.delivery.base import Failure, TransportError, Verdict
from regimes.delivery.endpoints import Endpoint, Kind, parse_endpoints
from regimes.delivery.targets.apprise import AppriseTarget, AppriseTransport, is_installed
from tests.delivery.messages import message
from tests.delivery.receivers import Receiver, says


def endpoint_at(base: str) -> Endpoint:
    url = base.replace("http://", "json://") + "/hook?retry=3"
    (endpoint,) = parse_endpoints({"ALL": url}, with_apprise=is_installed())
    return endpoint


async def test_it_hands_title_and_facts_to_apprise() -> None:
    async with Receiver().serving() as receiver:
        target = AppriseTarget(endpoint_at(receiver.base))
        request = target.request(message(), b"", edit=None, memory={}, now_s=0)
        response = await AppriseTransport(timeout_s=5).send(request)
    assert target.reply(response, now_s=0).verdict is Verdict.DELIVERED
    (seen,) = receiver.seen
    assert seen.json["title"] == "🔴 BTC/USDT liquidation cascade: 5.0 M USD in 10 h"
    assert "Velocity: 500,000 USD/h" in seen.json["message"]
    assert "View on dashboard: https://example.com/" in seen.json["message"]
    assert seen.json["type"] == "failure"


async def test_it_tries_once_though_the_url_asks_for_more() -> None:
    async with Receiver().serving() as receiver:
        receiver.script = [says(500)]
        target = AppriseTarget(endpoint_at(receiver.base))
        request = target.request(message(), b"", edit=None, memory={}, now_s=0)
        response = await AppriseTransport(timeout_s=10).send(request)
    assert target.reply(response, now_s=0).verdict is Verdict.RETRY
    assert len(receiver.seen) == 1


async def test_a_hung_service_is_an_ambiguous_timeout() -> None:
    async with Receiver().serving() as receiver:
        receiver.script = [receiver.hang]
        request = AppriseTarget(endpoint_at(receiver.base)).request(
            message(), b"", edit=None, memory={}, now_s=0
        )
        began = time.monotonic()
        with pytest.raises(TransportError) as caught:
            await AppriseTransport(timeout_s=0.3).send(request)
    assert (caught.value.failure, caught.value.sent) == (Failure.TIMEOUT, True)
    assert time.monotonic() - began < 9


async def test_a_url_apprise_does_not_know_is_no_success() -> None:
    endpoint = Endpoint(
        name="apprise-all-1", kind=Kind.APPRISE, routes=frozenset({"ALL"}), url="nosuch://thing"
    )
    target = AppriseTarget(endpoint)
    response = await AppriseTransport().send(target.request(message(), b"", edit=None, memory={}, now_s=0))
    assert target.reply(response, now_s=0).verdict is Verdict.RETRY
