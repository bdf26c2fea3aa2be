"""The nginx example in front of the service: a real nginx, TLS, the event stream, signing in."""

import asyncio
import shutil
import ssl
from collections.abc import AsyncIterator, Sequence
from contextlib import asynccontextmanager
from pathlib import Path

import aiohttp
import pytest

from regimes.clock import SystemClock
from tests.delivery.conftest import __file__ as delivery_folder
from tests.deploy.conftest import DEPLOY, free_ports
from tests.web.service import TOKEN, Service, event, service
from tests.web.stream import Reader

CERTIFICATE = Path(delivery_folder).parent / "self_signed.pem"
BEARER = {"Authorization": f"Bearer {TOKEN}"}
pytestmark = pytest.mark.skipif(
    shutil.which("nginx") is None, reason="nginx is not installed (Debian package nginx-light)"
)


class Front:
    """nginx before a service: `client` trusts its certificate; `plain` is the address without TLS."""

    def __init__(self, behind: Service, client: aiohttp.ClientSession, address: str, plain: str) -> None:
        self.behind = behind
        self.client = client
        self.address = address
        self.plain = plain


def example(folder: Path, behind: int, plain: int, secure: int, uncomment: Sequence[str]) -> str:
    """The shipped file with this machine's ports and paths."""
    text = (DEPLOY / "nginx.conf").read_text()
    for old, new in {
        "server 127.0.0.1:8000;": f"server 127.0.0.1:{behind};",
        "listen 80;": f"listen 127.0.0.1:{plain};",
        "listen 443 ssl": f"listen 127.0.0.1:{secure} ssl",
        "/etc/letsencrypt/live/regimes.example.com/fullchain.pem": str(CERTIFICATE),
        "/etc/letsencrypt/live/regimes.example.com/privkey.pem": str(CERTIFICATE),
        "server_name regimes.example.com;": "server_name localhost;",
        "/etc/nginx/regimes.htpasswd": str(folder / "htpasswd"),
        **{f"# {line}": line for line in uncomment},
    }.items():
        assert old in text, old
        text = text.replace(old, new)
    temporary = "\n".join(
        f"{kind}_temp_path {folder}/{kind};" for kind in ("client_body", "proxy", "fastcgi", "uwsgi", "scgi")
    )
    return (
        f"daemon off; master_process off; pid {folder}/nginx.pid; error_log stderr error;\n"
        f"events {{}}\nhttp {{ access_log off;\n{temporary}\n{text}\n}}\n"
    )


@asynccontextmanager
async def front(folder: Path, uncomment: Sequence[str] = ()) -> AsyncIterator[Front]:
    """The service as the example's head says, and nginx before it."""
    web = {"token": TOKEN, "allowed_hosts": ("localhost",), "trusted_proxies": ("127.0.0.1/32",)}
    plain, secure = free_ports(2)
    async with service(folder, web=web) as behind:
        (folder / "nginx.conf").write_text(example(folder, behind.port, plain, secure, uncomment))
        nginx = await asyncio.create_subprocess_exec(
            "nginx", "-c", str(folder / "nginx.conf"), "-p", str(folder), stderr=asyncio.subprocess.PIPE
        )
        try:
            trusted = ssl.create_default_context(cafile=str(CERTIFICATE))
            connector = aiohttp.TCPConnector(ssl=trusted)
            jar = aiohttp.CookieJar()
            async with aiohttp.ClientSession(connector=connector, cookie_jar=jar) as client:
                address = f"https://localhost:{secure}"
                await answers(nginx, client, address)
                yield Front(behind, client, address, f"http://localhost:{plain}")
        finally:
            if nginx.returncode is None:
                nginx.kill()
                await nginx.communicate()


async def answers(nginx: asyncio.subprocess.Process, client: aiohttp.ClientSession, address: str) -> None:
    async with asyncio.timeout(20):
        while True:
            try:
                async with client.get(f"{address}/login"):
                    return
            except aiohttp.ClientConnectionError:
                assert nginx.returncode is None, (await nginx.communicate())[1].decode()
                await asyncio.sleep(0.05)


@asynccontextmanager
async def stream(before: Front, **headers: str) -> AsyncIterator[Reader]:
    url = f"{before.address}/api/stream?interval=60"
    async with before.client.get(url, headers={**BEARER, **headers}) as answer:
        assert answer.status == 200
        yield Reader(answer)


async def test_an_event_passes_at_once_and_a_stream_resumes_where_it_broke_off(tmp_path: Path) -> None:
    clock = SystemClock()
    async with front(tmp_path) as before:
        async with stream(before) as reader:
            await reader.next("snapshot")
            took = []
            for number in range(3):
                began = clock.monotonic()
                await before.behind.emit(event(number))
                assert (await reader.next("event")).data["data"]["number"] == number
                took.append(clock.monotonic() - began)
            last = reader.id
        assert min(took) < 0.5, "nothing waits for more to come"
        await before.behind.emit(event(3), event(4))
        async with stream(before, **{"Last-Event-ID": last}) as reader:
            numbers = [(await reader.next("event")).data["data"]["number"] for _ in range(2)]
        assert numbers == [3, 4]


async def test_a_browser_signs_in_over_tls_and_its_cookie_stays_there(tmp_path: Path) -> None:
    async with front(tmp_path) as before:
        async with before.client.get(f"{before.plain}/realtime", allow_redirects=False) as answer:
            assert answer.status == 301
            assert answer.headers["Location"] == "https://localhost/realtime"
        async with before.client.get(f"{before.address}/", allow_redirects=False) as answer:
            assert answer.status == 303
            assert answer.headers["Location"].startswith("/login")
            assert answer.headers["Strict-Transport-Security"]
        async with before.client.post(
            f"{before.address}/login",
            data={"token": TOKEN, "next": "/"},
            headers={"Origin": before.address, "Sec-Fetch-Site": "same-origin"},
            allow_redirects=False,
        ) as answer:
            assert answer.status == 303
            assert "Secure" in answer.headers["Set-Cookie"]
        async with before.client.get(f"{before.address}/api/features") as answer:
            assert answer.status == 200


async def test_guessing_is_braked_whatever_address_the_guesser_claims(tmp_path: Path) -> None:
    async with front(tmp_path) as before:
        found = []
        for number in range(7):
            headers = {"Authorization": "Bearer wrong-token-guessed", "X-Forwarded-For": f"10.0.0.{number}"}
            async with before.client.get(f"{before.address}/api/features", headers=headers) as answer:
                found.append(answer.status)
    assert found[0] == 401
    assert found[-1] == 429


async def test_metrics_and_foreign_names_stay_out(tmp_path: Path) -> None:
    async with front(tmp_path) as before:
        async with before.client.get(f"{before.address}/metrics", headers=BEARER) as answer:
            assert answer.status == 404
        named = {**BEARER, "Host": "other.example"}
        async with before.client.get(f"{before.address}/api/features", headers=named) as answer:
            assert answer.status == 421


async def test_the_second_lock_asks_before_everything_and_lets_a_signed_in_browser_through(
    tmp_path: Path,
) -> None:
    (tmp_path / "htpasswd").write_text("me:{PLAIN}password of mine\n")
    lines = ('auth_basic "regimes";', "auth_basic_user_file")
    async with front(tmp_path, lines) as before:
        async with before.client.get(f"{before.address}/login") as answer:
            assert answer.status == 401
        basic = aiohttp.BasicAuth("me", "password of mine")
        form = {"token": TOKEN, "next": "/"}
        async with before.client.post(
            f"{before.address}/login", data=form, auth=basic, allow_redirects=False
        ) as answer:
            assert answer.status == 303
        async with before.client.get(f"{before.address}/api/features", auth=basic) as answer:
            assert answer.status == 200
