import pytest

from regimes.delivery.endpoints import Endpoint, Kind, parse_endpoints
from regimes.errors import ConfigError

ID, TOKEN = "123456789012345678", "tOkEn-canary_abcdefghijklmnopqrstuvwxyz0123456789"
DISCORD = f"https://discord.com/api/webhooks/{ID}/{TOKEN}"
TELEGRAM = f"https://api.telegram.org/bot42:{TOKEN}/sendMessage?chat_id=-1001"
SLACK = f"https://hooks.slack.com/services/T0/B0/{TOKEN}"


def only(url: str) -> Endpoint:
    (endpoint,) = parse_endpoints({"CASCADE": url})
    return endpoint


@pytest.mark.parametrize(
    "host", ["discord.com", "discordapp.com", "ptb.discord.com", "canary.discordapp.com"]
)
@pytest.mark.parametrize("path", ["/api/webhooks", "/api/v6/webhooks", "/api/v10/webhooks"])
@pytest.mark.parametrize("tail", ["", "/", "/slack", "?wait=false"])
def test_every_form_of_discord_url_becomes_version_10(host: str, path: str, tail: str) -> None:
    endpoint = only(f"https://{host}{path}/{ID}/{TOKEN}{tail}")
    assert endpoint.kind is Kind.DISCORD
    assert endpoint.url == f"https://discord.com/api/v10/webhooks/{ID}/{TOKEN}"
    assert endpoint.params == {}


def test_a_discord_thread_and_a_telegram_topic_are_kept() -> None:
    assert only(DISCORD + "?thread_id=77").params == {"thread_id": "77"}
    assert only(TELEGRAM + "&message_thread_id=5").params == {"chat_id": "-1001", "message_thread_id": "5"}


def test_kinds_are_recognised_by_url_and_the_rest_is_http() -> None:
    urls = f"{DISCORD},{TELEGRAM},{SLACK},https://hooks.example.com/x,http://10.0.0.1:8080/discord.com"
    kinds = [endpoint.kind.value for endpoint in parse_endpoints({"ALL": urls})]
    assert kinds == ["discord", "telegram", "slack", "http", "http"]


def test_names_say_kind_route_and_number_and_hold_no_dot() -> None:
    endpoints = parse_endpoints(
        {"CASCADE": f"{DISCORD}, https://a.example/1 ,https://a.example/2", "ALL": SLACK}
    )
    names = [endpoint.name for endpoint in endpoints]
    assert names == ["discord-cascade-1", "http-cascade-1", "http-cascade-2", "slack-all-1"]
    assert not any("." in name for name in names)


def test_one_url_in_several_routes_is_one_endpoint() -> None:
    (endpoint,) = parse_endpoints(
        {"CASCADE": DISCORD, "ALL": DISCORD.replace("discord.com", "discordapp.com")}
    )
    assert endpoint.name == "discord-cascade-1"
    assert endpoint.routes == {"CASCADE", "ALL"}


def test_a_local_base_replaces_scheme_and_host_and_nothing_else() -> None:
    bases = {
        "discord": "http://127.0.0.1:9",
        "telegram": "http://127.0.0.1:8/",
        "slack": "http://127.0.0.1:7",
    }
    urls = [
        endpoint.url for endpoint in parse_endpoints({"ALL": f"{DISCORD},{TELEGRAM},{SLACK}"}, bases=bases)
    ]
    assert urls == [
        f"http://127.0.0.1:9/api/v10/webhooks/{ID}/{TOKEN}",
        f"http://127.0.0.1:8/bot42:{TOKEN}",
        f"http://127.0.0.1:7/services/T0/B0/{TOKEN}",
    ]


@pytest.mark.parametrize(
    ("url", "words"),
    [
        (f"discord.com/api/webhooks/{ID}/{TOKEN}", "scheme"),
        (f"https:///{TOKEN}", "host"),
        (f"https://discord.com/channels/{ID}/{TOKEN}", "Discord"),
        (f"https://discord.com/api/webhooks/{TOKEN}", "Discord"),
        (f"https://discord.com/api/webhooks/{TOKEN}/{ID}", "number"),
        (f"https://api.telegram.org/bot42:{TOKEN}/sendMessage", "chat"),
        (f"https://api.telegram.org/42:{TOKEN}/sendMessage?chat_id=1", "BotFather"),
        (f"https://hooks.slack.com/workflows/{TOKEN}", "incoming webhook"),
        (f"ntfys://{TOKEN}", "apprise"),
        (f"https://example.com:99999/{TOKEN}", "URL"),
        (f"https://[::1/{TOKEN}", "URL"),
    ],
)
def test_a_wrong_url_is_refused_by_variable_position_and_rule_without_showing_it(
    url: str, words: str
) -> None:
    with pytest.raises(ConfigError, match=words) as caught:
        parse_endpoints({"FUNDING": f"https://good.example/a,{url}"})
    assert str(caught.value).startswith("WEBHOOKS_FUNDING: URL 2: ")
    assert TOKEN not in str(caught.value)
    assert caught.value.__suppress_context__ or caught.value.__context__ is None


def test_no_repr_shows_a_url() -> None:
    for url in (DISCORD, TELEGRAM, SLACK, f"https://example.com/{TOKEN}"):
        assert TOKEN not in repr(only(url))
        assert TOKEN not in f"{only(url)}"


def test_the_fingerprint_follows_the_receiver_and_tells_nothing_of_it() -> None:
    first, second = only(TELEGRAM), only(TELEGRAM.replace("-1001", "-1002"))
    assert first.fingerprint != second.fingerprint
    assert first.fingerprint == only(TELEGRAM).fingerprint
    assert TOKEN not in first.fingerprint
