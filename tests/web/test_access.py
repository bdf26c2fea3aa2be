import asyncio
import http.client
import logging
import re
import socket
from collections.abc import Mapping
from pathlib import Path

import aiohttp
import pytest
from pydantic import ValidationError

from regimes.clock import SystemClock
from regimes.config import load
from regimes.errors import ConfigError
from regimes.web import api, app, guard
from regimes.web.access import BLOCK_S, FREE_FAILURES, LONGEST_BLOCK_S, REMEMBERED, Access, Brake
from regimes.web.settings import WebSettings, is_loopback
from tests.web.service import TOKEN, WRITE, Service, event, service

CLOSED = {"token": TOKEN}
BEARER = {"Authorization": f"Bearer {TOKEN}"}


def raw(running: Service, request: str, *, timeout_s: float = 5.0) -> tuple[int, bytes]:
    """Send bytes as they are; status and everything that comes back."""
    with socket.create_connection(("127.0.0.1", running.port), timeout=timeout_s) as connection:
        connection.sendall(request.encode("latin-1"))
        taken = b""
        while more := connection.recv(65_536):
            taken += more
    return int(taken.split(b" ", 2)[1]), taken


async def asked(running: Service, request: str) -> tuple[int, bytes]:
    return await asyncio.to_thread(raw, running, request)


async def signed_in(running: Service, to: str = "/") -> tuple[str, aiohttp.ClientResponse]:
    async with running.client.post(
        "/login", data={"token": TOKEN, "next": to}, allow_redirects=False
    ) as answer:
        assert answer.status == 303
        return answer.cookies["regimes_session"].value, answer


# -- without a token ---------------------------------------------------------------------------------------------------


async def test_without_a_token_everybody_on_this_machine_may_read_and_write(tmp_path: Path) -> None:
    async with service(tmp_path, history=False) as running:
        assert (await running.get("/api/features"))[0] == 200
        assert (await running.send("POST", "/api/silences", json={"hours": 1}))[0] == 201
        assert (await running.get("/api/session"))[1] == {
            "signed_in": False,
            "token_needed": False,
            "writes": True,
        }


@pytest.mark.parametrize("host", ["0.0.0.0", "::", "192.0.2.1", "example.com"])  # noqa: S104
def test_another_address_without_a_token_refuses_to_start(tmp_path: Path, host: str) -> None:
    with pytest.raises(ConfigError, match="a token is needed: set DASHBOARD_TOKEN") as refused:
        load(environ={"REGIMES__WEB__HOST": host}, folder=tmp_path)
    assert "REGIMES__WEB__HOST" in str(refused.value)
    assert (
        load(environ={"REGIMES__WEB__HOST": host, "DASHBOARD_TOKEN": TOKEN}, folder=tmp_path).web.host == host
    )


def test_the_token_may_stand_in_a_file(tmp_path: Path) -> None:
    (tmp_path / "token").write_text(TOKEN + "\n")
    settings = load(environ={"DASHBOARD_TOKEN_FILE": str(tmp_path / "token")}, folder=tmp_path)
    assert settings.web.token is not None
    assert settings.web.token.get_secret_value() == TOKEN


@pytest.mark.parametrize("token", ["short", "x" * 15, "tökén" * 5, "with\nnewline" * 3])
def test_a_token_that_is_easily_guessed_or_cannot_be_sent_is_refused(token: str) -> None:
    with pytest.raises(ValidationError, match="at least 16 printable ASCII"):
        WebSettings(token=token)


@pytest.mark.parametrize(
    ("host", "expected"),
    [("127.0.0.1", True), ("127.8.8.8", True), ("::1", True), ("localhost", True), ("10.0.0.1", False)],
)
def test_what_counts_as_this_machine(host: str, *, expected: bool) -> None:
    assert is_loopback(host) is expected


async def test_with_anonymous_reading_and_no_token_nobody_writes(tmp_path: Path) -> None:
    async with service(tmp_path, history=False, web={"allow_anonymous_read": True}) as running:
        assert (await running.get("/api/events"))[0] == 200
        status, told, _ = await running.send("POST", "/api/silences", json={"hours": 1})
        assert status == 403
        assert "writes are off" in told["detail"]
        assert (await running.get("/api/status"))[1]["writes"] is False


async def test_with_anonymous_reading_and_a_token_only_who_has_it_writes(tmp_path: Path) -> None:
    async with service(tmp_path, history=False, web={"allow_anonymous_read": True, **CLOSED}) as running:
        assert (await running.get("/api/events"))[0] == 200
        assert (await running.send("POST", "/api/silences", json={"hours": 1}))[0] == 401
        assert (await running.send("POST", "/api/silences", BEARER, json={"hours": 1}))[0] == 201


# -- with a token ------------------------------------------------------------------------------------------------------


async def test_every_api_route_needs_the_token(tmp_path: Path) -> None:
    async with service(tmp_path, history=False, web=CLOSED) as running:
        for route in running.server.routes:
            path = re.sub(r"\{\w+\}", "x", route.path)
            status, told, headers = await running.send(route.method, path)
            assert (status, headers["WWW-Authenticate"]) == (401, "Bearer"), path
            assert told["title"] == "Not signed in"
        for path in ("/api/stream", "/api/openapi.json", "/metrics"):
            assert (await running.get(path))[0] == 401, path
        for path in ("/healthz", "/api/session"):
            assert (await running.get(path))[0] == 200, path
        assert (await running.get("/api/session"))[1] == {
            "signed_in": False,
            "token_needed": True,
            "writes": False,
        }
        assert (await running.get("/api/features", headers=BEARER))[0] == 200


@pytest.mark.parametrize(
    "header", ["Bearer wrong", "Bearer ", "Basic YTpi", TOKEN, f"Bearer {TOKEN}x", "Bearer \xff"]
)
async def test_a_wrong_token_is_refused(tmp_path: Path, header: str) -> None:
    async with service(tmp_path, history=False, web=CLOSED) as running:
        status, answer = await asked(
            running,
            f"GET /api/events HTTP/1.1\r\nHost: 127.0.0.1\r\nAuthorization: {header}\r\nConnection: close\r\n\r\n",
        )
    assert status == 401
    assert TOKEN.encode() not in answer


async def test_a_browser_signs_in_and_out_and_a_replayed_cookie_is_worth_nothing(tmp_path: Path) -> None:
    async with service(tmp_path, history=False, web=CLOSED) as running:
        async with running.client.get("/", allow_redirects=False) as answer:
            assert (answer.status, answer.headers["Location"]) == (303, "/login?next=%2F")
        cookie, answer = await signed_in(running)
        attributes = answer.headers["Set-Cookie"]
        assert "HttpOnly" in attributes
        assert "SameSite=Strict" in attributes
        assert TOKEN not in attributes
        running.client.cookie_jar.clear()
        as_browser = {"Cookie": f"regimes_session={cookie}"}
        assert (await running.get("/api/events", headers=as_browser))[0] == 200
        assert (await running.send("POST", "/api/silences", as_browser, json={"hours": 1}))[0] == 403
        assert (await running.send("POST", "/api/silences", {**as_browser, **WRITE}, json={"hours": 1}))[
            0
        ] == 201
        async with running.client.post("/logout", headers=as_browser, allow_redirects=False) as answer:
            assert (answer.status, answer.headers["Location"]) == (303, "/login")
        assert (await running.get("/api/events", headers=as_browser))[0] == 401


async def test_a_session_outlives_a_restart_but_not_another_token(tmp_path: Path) -> None:
    async with service(tmp_path, history=False, web=CLOSED) as running:
        cookie, _ = await signed_in(running)
        gone, _ = await signed_in(running)
        async with running.client.post(
            "/logout", headers={"Cookie": f"regimes_session={gone}"}, allow_redirects=False
        ):
            pass
    for token, expected in ((TOKEN, 200), ("another-token-of-some-length", 401)):
        async with service(tmp_path, history=False, web={"token": token}) as running:
            as_browser = {"Cookie": f"regimes_session={cookie}"}
            assert (await running.get("/api/events", headers=as_browser))[0] == expected
            assert (await running.get("/api/events", headers={"Cookie": f"regimes_session={gone}"}))[0] == 401


def test_a_session_ends_in_time() -> None:
    access = Access(WebSettings(token=TOKEN, session_days=1))
    cookie = access.sign_in(0)
    assert access.rights("", cookie, 86_399_999).read
    assert not access.rights("", cookie, 86_400_000).read


def test_sessions_are_bounded_and_the_oldest_goes() -> None:
    access = Access(WebSettings(token=TOKEN))
    cookies = [access.sign_in(number) for number in range(201)]
    assert not access.rights("", cookies[0], 1000).read
    assert all(access.rights("", cookie, 1000).read for cookie in cookies[1:])


def test_what_is_stored_of_sessions_holds_nothing_to_sign_in_with() -> None:
    access = Access(WebSettings(token=TOKEN))
    cookie = access.sign_in(0)
    assert cookie.encode() not in access.snapshot()
    assert TOKEN.encode() not in access.snapshot()
    access.restore(b"{ damaged")
    assert access.rights("", cookie, 1).read


async def test_guessing_is_slowed_down_for_the_form_and_for_the_header(tmp_path: Path) -> None:
    async with service(tmp_path, history=False, web=CLOSED) as running:
        for number in range(FREE_FAILURES):
            if number % 2:
                assert (await running.get("/api/events", headers={"Authorization": "Bearer guess"}))[0] == 401
            else:
                async with running.client.post("/login", data={"token": "guess"}) as answer:
                    assert answer.status == 401
        status, _, headers = await running.get("/api/events", headers=BEARER)
        assert status == 429
        assert 0 < int(headers["Retry-After"]) <= BLOCK_S + 1
        async with running.client.post("/login", data={"token": TOKEN}) as answer:
            assert answer.status == 429
        # Who asks without a token is no guesser.
        assert (await running.get("/healthz"))[0] == 200


def test_the_brake_doubles_is_bounded_and_lets_go() -> None:
    brake = Brake()
    waits = []
    for number in range(20):
        brake.failed("a", 0.0)
        if number >= FREE_FAILURES - 1:
            waits.append(brake.blocked_s("a", 0.0))
    assert waits[:3] == [BLOCK_S, BLOCK_S * 2, BLOCK_S * 4]
    assert waits[-1] == LONGEST_BLOCK_S
    assert brake.blocked_s("a", LONGEST_BLOCK_S) == 0.0
    assert brake.blocked_s("b", 0.0) == 0.0
    brake.succeeded("a")
    assert brake.blocked_s("a", 0.0) == 0.0
    for number in range(2 * REMEMBERED):
        brake.failed(str(number), 0.0)
    assert len(brake._failures) <= REMEMBERED


# -- foreign hosts and pages -------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("host", "status"),
    [
        ("evil.example", 421),
        ("evil.example:8000", 421),
        ("127.0.0.1.evil.example", 421),
        ("localhost.evil.example", 421),
        ("", 421),
        ("[evil", 421),
        ("[::1]evil", 421),
        ("localhost", 200),
        ("LOCALHOST:9", 200),
        ("127.0.0.1:1", 200),
        ("[::1]:8000", 200),
        ("regimes.example.com", 200),
        ("Regimes.Example.com:443", 200),
    ],
)
async def test_only_known_hosts_are_served(tmp_path: Path, host: str, status: int) -> None:
    async with service(tmp_path, history=False, web={"allowed_hosts": ("regimes.example.com",)}) as running:
        got, answer = await asked(
            running, f"GET /api/events HTTP/1.1\r\nHost: {host}\r\nConnection: close\r\n\r\n"
        )
        assert got == status, answer
        page, _ = await asked(running, f"GET / HTTP/1.1\r\nHost: {host}\r\nConnection: close\r\n\r\n")
        assert (page == 421) == (status == 421)


@pytest.mark.parametrize(
    "headers",
    [
        {"Origin": "https://evil.example"},
        {"Origin": "null"},
        {"Origin": "http://127.0.0.1:1"},
        {"Sec-Fetch-Site": "cross-site"},
        {"Sec-Fetch-Site": "same-site"},
    ],
)
async def test_writes_from_another_sites_page_are_refused(tmp_path: Path, headers: Mapping[str, str]) -> None:
    async with service(tmp_path, history=False, web=CLOSED) as running:
        cookie, _ = await signed_in(running)
        given = {"Cookie": f"regimes_session={cookie}", **WRITE, **headers}
        for path in ("/api/silences", "/login", "/logout"):
            status, told, _ = await running.send("POST", path, given, data={"token": TOKEN})
            assert status == 403, path
            assert "another site" in told["detail"]


async def test_a_plain_form_of_another_page_writes_nothing(tmp_path: Path) -> None:
    async with service(tmp_path, history=False) as running:
        # No Origin and no Sec-Fetch-Site, as an old browser would send it.
        assert (await running.send("POST", "/api/silences", {}, data={"hours": "1"}))[0] == 403
        text = {"Content-Type": "text/plain"}
        assert (await running.send("POST", "/api/silences", text, data='{"hours": 1}'))[0] == 403
        assert (await running.get("/api/silences"))[1] == {"silences": []}


async def test_writes_from_our_own_page_are_taken(tmp_path: Path) -> None:
    async with service(tmp_path, history=False) as running:
        ours = {**WRITE, "Origin": running.address, "Sec-Fetch-Site": "same-origin"}
        assert (await running.send("POST", "/api/silences", ours, json={"hours": 1}))[0] == 201


async def test_every_answer_carries_the_security_headers(tmp_path: Path) -> None:
    async with service(tmp_path) as running:
        await running.emit(event(1))
        for path in (
            "/",
            "/login",
            "/api/features",
            "/api/nothing",
            "/healthz",
            "/metrics",
            "/api/events?limit=0",
        ):
            _, _, headers = await running.get(path)
            assert headers["Content-Security-Policy"].startswith("default-src 'self';"), path
            assert headers["X-Content-Type-Options"] == "nosniff"
            assert headers["X-Frame-Options"] == "DENY"
            assert (
                headers["Referrer-Policy"] == "same-origin"
            )  # none at all makes browsers send `Origin: null` with our own forms
            assert headers["Server"] == "regimes"


# -- proxies -----------------------------------------------------------------------------------------------------------


async def test_only_a_trusted_proxy_is_believed_about_address_and_encryption(tmp_path: Path) -> None:
    forwarded = {"X-Forwarded-For": "203.0.113.9, 198.51.100.7", "X-Forwarded-Proto": "https"}
    for proxies, secure in (((), False), (("127.0.0.0/8",), True)):
        async with service(tmp_path, history=False, web={**CLOSED, "trusted_proxies": proxies}) as running:
            async with running.client.post(
                "/login", data={"token": TOKEN}, headers=forwarded, allow_redirects=False
            ) as answer:
                assert ("Secure" in answer.headers["Set-Cookie"]) is secure
            for _ in range(FREE_FAILURES):
                guess = {**forwarded, "Authorization": "Bearer guess"}
                assert (await running.get("/api/events", headers=guess))[0] == 401
            elsewhere = {"X-Forwarded-For": "203.0.113.9, 198.51.100.8", **BEARER}
            assert (await running.get("/api/events", headers=elsewhere))[0] == (200 if secure else 429)
            # What the client itself puts in front changes nothing.
            spoofed = {"X-Forwarded-For": "192.0.2.1, 198.51.100.7", **BEARER}
            assert (await running.get("/api/events", headers=spoofed))[0] == 429


# -- hostile requests --------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    "path",
    [
        "/../pyproject.toml",
        "/..%2fpyproject.toml",
        "/%2e%2e/%2e%2e/etc/passwd",
        "/....//....//etc/passwd",
        "/static/../../pyproject.toml",
        "//etc/passwd",
        "/%00",
        "/..\\..\\pyproject.toml",
        "/vendor/%2e%2e/%2e%2e/regimes/__init__.py",
    ],
)
async def test_no_path_leads_out_of_the_static_folder(tmp_path: Path, path: str) -> None:
    async with service(tmp_path, history=False) as running:
        status, answer = await asked(
            running, f"GET {path} HTTP/1.1\r\nHost: localhost\r\nConnection: close\r\n\r\n"
        )
    assert status in {400, 404}
    assert b"root:" not in answer
    assert b"build-backend" not in answer


async def test_a_body_that_is_too_large_is_refused(tmp_path: Path) -> None:
    async with service(tmp_path, history=False, web=CLOSED) as running:
        large = '{"hours": 1, "comment": "' + "x" * 200_000 + '"}'
        json_type = {**BEARER, "Content-Type": "application/json"}
        assert (await running.send("POST", "/api/silences", json_type, data=large))[0] == 413
        assert (await running.send("POST", "/login", {}, data={"token": "x" * 200_000}))[0] == 413


@pytest.mark.parametrize(
    "head",
    [
        "GET /api/events HTTP/1.1\r\nHost: localhost\r\nX: " + "y" * 20_000 + "\r\n\r\n",
        "GET /" + "y" * 20_000 + " HTTP/1.1\r\nHost: localhost\r\n\r\n",
        "GET / HTTP/1.1\r\nHost: localhost\r\n" + "".join(f"X-{n}: 1\r\n" for n in range(500)) + "\r\n",
        "GET / HTTP/1.1\r\nHost: localhost\r\nContent-Length: 5\r\nTransfer-Encoding: chunked\r\n\r\n0\r\n\r\n",
        "GET / HTTP/1.1\r\nHost: localhost\r\nX: a\x00b\r\n\r\n",
        "\x16\x03\x01\x02\x00",
    ],
    ids=["long header", "long path", "many headers", "smuggling", "null", "tls"],
)
async def test_a_malformed_request_is_refused_and_the_server_lives_and_logs_nothing(
    tmp_path: Path, caplog: pytest.LogCaptureFixture, head: str
) -> None:
    async with service(tmp_path, history=False) as running:
        status, _ = await asked(running, head)
        assert 400 <= status < 500
        assert (await running.get("/healthz"))[0] == 200
    assert [record.getMessage() for record in caplog.records if record.levelno >= logging.WARNING] == []


async def test_a_request_that_dawdles_is_cut_off(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(app, "IDLE_S", 0.5)
    monkeypatch.setattr(api, "BODY_S", 0.5)
    clock = SystemClock()

    async def dawdle(running: Service, head: bytes) -> tuple[float, bytes]:
        reader, writer = await asyncio.open_connection("127.0.0.1", running.port)
        began = clock.monotonic()
        writer.write(head)
        taken = asyncio.create_task(reader.read())
        while not taken.done():
            if not writer.is_closing():
                writer.write(b"X-A: b\r\n")
            await asyncio.wait({taken}, timeout=0.1)
        writer.close()
        try:
            return clock.monotonic() - began, taken.result()
        except ConnectionError:
            return clock.monotonic() - began, b""

    async with service(tmp_path, history=False) as running:
        lasted_s, _ = await dawdle(running, b"GET /api/events HTTP/1.1\r\nHost: localhost\r\n")
        assert lasted_s < 20
        slow_body = b"POST /api/silences HTTP/1.1\r\nHost: localhost\r\nContent-Type: application/json\r\n"
        slow_body += b"X-Requested-With: regimes\r\nContent-Length: 60000\r\n\r\n{"
        lasted_s, taken = await dawdle(running, slow_body)
        assert lasted_s < 20
        assert b" 408 " in taken[:20]
        assert (await running.get("/healthz"))[0] == 200


async def test_a_large_answer_that_nobody_takes_is_not_kept_for_ever(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(guard, "TAKEN_S", 0.3)
    monkeypatch.setattr(guard, "SMALL_BYTES", 0)
    clock = SystemClock()
    async with service(tmp_path) as running:
        raw = socket.socket()
        raw.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 4_096)
        raw.connect(("127.0.0.1", running.port))
        began = clock.monotonic()
        for _ in range(200):
            raw.sendall(b"GET /api/candles?symbol=BTC/USDT HTTP/1.1\r\nHost: localhost\r\n\r\n")
        while running.server.connections:  # counted by the server's own loop
            await asyncio.sleep(0.05)
            assert clock.monotonic() - began < 60
        raw.close()
        assert (await running.get("/api/candles?symbol=BTC/USDT"))[0] == 200


async def test_no_more_connections_are_held_than_streams_and_some(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(app, "SPARE_CONNECTIONS", 5)
    async with service(tmp_path, history=False, web={"max_streams": 5}) as running:
        writers = []
        for _ in range(10):
            reader, writer = await asyncio.open_connection("127.0.0.1", running.port)
            writers.append(writer)
            writer.write(b"GET /healthz HTTP/1.1\r\nHost: localhost\r\n\r\n")
            assert b"200" in await reader.readline()
        for _ in range(3):
            reader, writer = await asyncio.open_connection("127.0.0.1", running.port)
            writers.append(writer)
            assert await reader.read() == b""
        for writer in writers:
            writer.close()


@pytest.mark.parametrize(
    "to",
    [
        "https://evil.example/",
        "//evil.example",
        "/\\evil.example",
        "javascript:alert(1)",
        "/x\r\nSet-Cookie: a=b",
        "/api/events",
        "/<b>",
    ],
)
async def test_nothing_foreign_gets_into_headers_or_the_page_through_next(tmp_path: Path, to: str) -> None:
    async with service(tmp_path, history=False, web=CLOSED) as running:
        _, answer = await signed_in(running, to)
        assert answer.headers["Location"] == "/"
        assert "a" not in answer.cookies
        async with running.client.get("/login", params={"next": to}) as page:
            assert 'name="next" value="/"' in await page.text()


async def test_after_signing_in_one_is_where_one_wanted_to_be(tmp_path: Path) -> None:
    async with service(tmp_path, history=False, web=CLOSED) as running:
        async with running.client.get("/realtime?symbol=BTC%2FUSDT", allow_redirects=False) as answer:
            assert answer.headers["Location"].startswith("/login?next=")
        _, answer = await signed_in(running, "/?event=evt_1")
        assert answer.headers["Location"] == "/?event=evt_1"


def test_the_wrong_token_page_says_so(tmp_path: Path) -> None:
    async def run() -> None:
        async with service(tmp_path, history=False, web=CLOSED) as running:
            async with running.client.post("/login", data={"token": "<script>"}) as answer:
                assert answer.status == 401
                text = await answer.text()
            assert "That is not the token." in text
            assert "<script>" not in text

    asyncio.run(run())


async def test_a_port_that_is_taken_is_named_with_what_to_do(tmp_path: Path) -> None:
    (tmp_path / "other").mkdir()
    async with service(tmp_path, history=False) as running:
        with pytest.raises(ConfigError, match=f"web.port = {running.port}: .* is in use; set web.port"):
            async with service(tmp_path / "other", history=False, web={"port": running.port}):
                pass


async def test_an_old_client_is_told_that_streams_need_http_1_1(tmp_path: Path) -> None:
    async with service(tmp_path, history=False) as running:
        status, answer = await asked(running, "GET /api/stream HTTP/1.0\r\nHost: localhost\r\n\r\n")
    assert status == 400
    assert b"proxy_http_version" in answer


async def test_head_is_answered_without_a_body(tmp_path: Path) -> None:
    async with service(tmp_path, history=False) as running:

        def head() -> tuple[int, bytes]:
            connection = http.client.HTTPConnection("127.0.0.1", running.port)
            connection.request("HEAD", "/api/features")
            answer = connection.getresponse()
            return answer.status, answer.read()

        assert await asyncio.to_thread(head) == (200, b"")
