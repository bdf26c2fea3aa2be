import asyncio
import socket
import ssl
import time
from collections.abc import AsyncIterator, Sequence
from pathlib import Path
from typing import Any

import pytest

from regimes.delivery.base import Failure, Request, Response, TransportError
from regimes.delivery.guard import AddressGuard
from regimes.delivery.transport import LARGEST_BODY_BYTES, HttpTransport
from tests.delivery.receivers import Receiver, babble, drip_headers, raw_server, reset, says, silence

LOOPBACK = ["127.0.0.0/8", "::1/128"]
PATH = "/hook/canary-0123456789abcdef?key=canary-key"
TIMEOUT_S = 0.4


@pytest.fixture
async def receiver() -> AsyncIterator[Receiver]:
    async with Receiver().serving() as serving:
        yield serving


async def send(
    url: str, *, allow: Sequence[str] = LOOPBACK, body: bytes = b"{}", timeout_s: float = TIMEOUT_S
) -> Response:
    async with HttpTransport(AddressGuard(allow), timeout_s=timeout_s) as transport:
        return await transport.send(Request("POST", url + PATH, {"X-A": "1"}, body))


async def failure_of(url: str, **how: Any) -> TransportError:
    with pytest.raises(TransportError) as caught:
        await send(url, **how)
    assert "canary" not in f"{caught.value} {caught.value!r} {caught.value.__cause__}"
    assert caught.value.__suppress_context__
    return caught.value


def resolve_to(monkeypatch: pytest.MonkeyPatch, *addresses: str) -> None:
    """Make every name lead to these addresses, as a hostile name server would."""

    async def getaddrinfo(_loop: Any, _host: Any, port: Any, **_how: Any) -> list[Any]:
        return [(socket.AF_INET, socket.SOCK_STREAM, 6, "", (address, port)) for address in addresses]

    monkeypatch.setattr(asyncio.BaseEventLoop, "getaddrinfo", getaddrinfo)


async def test_the_bytes_given_are_the_bytes_sent_and_the_answer_comes_back(receiver: Receiver) -> None:
    receiver.script = [says(201, b"thanks", X_Thing="7")]
    response = await send(receiver.base, body=b'{"a" : "\xc3\xa9"}')
    assert (response.status, response.headers["x-thing"], response.body) == (201, "7", b"thanks")
    (seen,) = receiver.seen
    assert seen.body == b'{"a" : "\xc3\xa9"}'
    assert seen.headers["user-agent"].startswith("regimes/")
    assert seen.headers["x-a"] == "1"


async def test_a_redirect_to_the_metadata_service_is_an_answer_and_is_not_followed(
    receiver: Receiver,
) -> None:
    receiver.script = [says(307, Location="http://169.254.169.254/latest/meta-data/")]
    assert (await send(receiver.base)).status == 307
    receiver.script = [says(302, Location=receiver.base + "/elsewhere")]
    assert (await send(receiver.base)).status == 302
    assert len(receiver.seen) == 2


@pytest.mark.parametrize(
    "host",
    [
        "127.0.0.1",
        "127.1",
        "127.0.1",
        "0x7f.0.0.1",
        "0x7f000001",
        "0177.0.0.1",
        "2130706433",
        "localhost",
        "[::ffff:127.0.0.1]",
        "[::ffff:7f00:1]",
        "0.0.0.0",  # noqa: S104 (a spelling of loopback, bound by nobody)
        "0",
    ],
)
async def test_no_spelling_of_loopback_reaches_it(receiver: Receiver, host: str) -> None:
    error = await failure_of(receiver.base.replace("127.0.0.1", host), allow=[])
    assert error.failure in {Failure.BLOCKED, Failure.UNUSABLE, Failure.DNS}
    assert not error.sent
    assert receiver.seen == []


async def test_a_name_that_leads_to_a_private_address_is_blocked_by_the_address(
    receiver: Receiver, monkeypatch: pytest.MonkeyPatch
) -> None:
    port = receiver.base.rsplit(":", 1)[1]
    resolve_to(monkeypatch, "127.0.0.1")
    error = await failure_of(f"http://hooks.example.com:{port}", allow=[])
    assert error.failure is Failure.BLOCKED
    assert "delivery.allow_cidrs" in str(error)
    assert receiver.seen == []


async def test_a_name_that_leads_to_the_metadata_service_is_blocked_though_everything_is_allowed(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    resolve_to(monkeypatch, "169.254.169.254")
    error = await failure_of("http://hooks.example.com", allow=["0.0.0.0/0", "::/0"])
    assert error.failure is Failure.BLOCKED
    assert "never" in str(error)


async def test_of_several_addresses_an_allowed_one_is_used(
    receiver: Receiver, monkeypatch: pytest.MonkeyPatch
) -> None:
    resolve_to(monkeypatch, "169.254.169.254", "127.0.0.1")
    assert (await send("http://hooks.example.com:" + receiver.base.rsplit(":", 1)[1])).status == 200


async def test_a_name_that_is_not_found_is_a_failure_before_sending(monkeypatch: pytest.MonkeyPatch) -> None:
    async def getaddrinfo(*_args: Any, **_how: Any) -> list[Any]:
        raise socket.gaierror(socket.EAI_NONAME, "Name or service not known")

    monkeypatch.setattr(asyncio.BaseEventLoop, "getaddrinfo", getaddrinfo)
    error = await failure_of("http://hooks.example.com")
    assert (error.failure, error.sent) == (Failure.DNS, False)


async def test_a_closed_port_refuses_before_anything_is_sent() -> None:
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        error = await failure_of(f"http://127.0.0.1:{free.getsockname()[1]}")
    assert (error.failure, error.sent) == (Failure.REFUSED, False)


async def test_no_answer_in_time_is_a_timeout_after_sending(receiver: Receiver) -> None:
    receiver.script = [receiver.hang]
    began = time.monotonic()
    error = await failure_of(receiver.base)
    assert (error.failure, error.sent) == (Failure.TIMEOUT, True)
    assert TIMEOUT_S <= time.monotonic() - began < TIMEOUT_S + 10


async def test_a_handshake_that_never_ends_is_a_timeout_before_sending() -> None:
    async with raw_server(silence) as port:
        error = await failure_of(f"https://127.0.0.1:{port}")
    assert (error.failure, error.sent) == (Failure.TIMEOUT, False)


async def test_headers_that_drip_are_cut_off_by_the_total_time() -> None:
    async with raw_server(drip_headers) as port:
        began = time.monotonic()
        error = await failure_of(f"http://127.0.0.1:{port}")
    assert (error.failure, error.sent) == (Failure.TIMEOUT, True)
    assert time.monotonic() - began < TIMEOUT_S + 10


async def test_a_body_that_drips_is_cut_off_and_its_status_kept(receiver: Receiver) -> None:
    receiver.script = [receiver.drip]
    began = time.monotonic()
    response = await send(receiver.base)
    assert response.status == 200
    assert time.monotonic() - began < TIMEOUT_S + 10


async def test_a_connection_torn_down_after_the_request_is_ambiguous() -> None:
    async with raw_server(reset) as port:
        error = await failure_of(f"http://127.0.0.1:{port}")
    assert (error.failure, error.sent) == (Failure.CLOSED, True)


async def test_an_answer_that_is_no_http_is_ambiguous() -> None:
    async with raw_server(babble) as port:
        error = await failure_of(f"http://127.0.0.1:{port}")
    assert (error.failure, error.sent) == (Failure.UNREADABLE, True)


async def test_of_a_huge_body_only_the_beginning_is_read(receiver: Receiver) -> None:
    receiver.script = [says(200, b"x" * 5_000_000)]
    response = await send(receiver.base, timeout_s=5)
    assert len(response.body) == LARGEST_BODY_BYTES


async def test_a_compressed_body_is_not_inflated(receiver: Receiver) -> None:
    receiver.script = [says(200, b"\x1f\x8b not gzip at all", Content_Encoding="gzip")]
    response = await send(receiver.base)
    assert response.body.startswith(b"\x1f\x8b")
    assert receiver.seen[0].headers["accept-encoding"] == "identity"


async def test_a_certificate_nobody_vouches_for_is_refused_before_anything_is_sent() -> None:
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.load_cert_chain(Path(__file__).parent / "self_signed.pem")
    async with raw_server(silence, ssl=context) as port:
        error = await failure_of(f"https://127.0.0.1:{port}")
    assert (error.failure, error.sent) == (Failure.TLS, False)
    assert "certificate" in str(error)


async def test_tls_towards_a_plain_server_is_a_tls_failure(receiver: Receiver) -> None:
    error = await failure_of(receiver.base.replace("http:", "https:"))
    assert (error.failure, error.sent) == (Failure.TLS, False)
    assert receiver.seen == []


async def test_proxies_of_the_environment_are_not_asked(
    receiver: Receiver, monkeypatch: pytest.MonkeyPatch
) -> None:
    async with Receiver().serving() as proxy:
        for name in ("HTTP_PROXY", "http_proxy", "ALL_PROXY"):
            monkeypatch.setenv(name, proxy.base)
        await send(receiver.base)
        assert (len(receiver.seen), len(proxy.seen)) == (1, 0)


async def test_cookies_are_not_kept(receiver: Receiver) -> None:
    receiver.script = [says(200, Set_Cookie="a=b")]
    async with HttpTransport(AddressGuard(LOOPBACK)) as transport:
        for _ in range(2):
            await transport.send(Request("POST", receiver.base, {}, b""))
    assert "cookie" not in receiver.seen[1].headers


@pytest.mark.parametrize("url", ["http://", "ftp://127.0.0.1", "http://[::1"])
async def test_a_url_that_cannot_be_used_is_said_to_be_so(url: str) -> None:
    error = await failure_of(url)
    assert error.failure in {Failure.UNUSABLE, Failure.DNS, Failure.BLOCKED}
    assert not error.sent
