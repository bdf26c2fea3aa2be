"""Through a forward proxy: nothing goes past it."""

import pytest
from pydantic import ValidationError

from regimes.feeds.settings import VenuesSettings
from regimes.observations import MarkPrice
from tests.feeds.harness import Seen, loopback, running
from tests.feeds.proxy import forward_proxy


async def test_requests_and_streams_go_through_the_proxy_and_say_who_they_are() -> None:
    async with (
        forward_proxy("desk:p@ss word") as (proxy, port),
        loopback() as (exchange, clock),
    ):
        seen = Seen()
        address = f"http://desk:p%40ss%20word@127.0.0.1:{port}"
        async with running(exchange, clock, seen, proxy=address):
            await seen.news(MarkPrice)
        assert any("/api/v3/" in url for url in proxy.asked), proxy.asked
        assert any("/fapi/v1/" in url for url in proxy.asked), proxy.asked
        assert any("/stream" in url for url in proxy.asked), proxy.asked
        assert any("/ws" in url for url in proxy.asked), proxy.asked


@pytest.mark.parametrize(
    "url", ["proxy:3128", "socks5://proxy:1080", "http://", "http://proxy", "http://u:hidden@h:x"]
)
def test_what_is_no_proxy_is_refused_without_its_password(url: str) -> None:
    with pytest.raises(ValidationError) as caught:
        VenuesSettings(proxy=url)
    (error,) = caught.value.errors(include_input=False)
    assert "must be http://host:port" in error["msg"]
    assert "hidden" not in error["msg"]


def test_an_empty_proxy_is_none() -> None:
    assert VenuesSettings(proxy="").proxy is None
