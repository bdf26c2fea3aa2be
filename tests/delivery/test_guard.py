from ipaddress import IPv4Address, IPv6Address
from typing import Any

import pytest
from hypothesis import given, strategies as st

from regimes.delivery.guard import AddressGuard
from regimes.errors import ConfigError

EVERYTHING = ["0.0.0.0/0", "::/0"]


def test_every_vector_is_judged_as_published(vectors: dict[str, Any]) -> None:
    guard = AddressGuard()
    judged = [[address, guard.refusal(address) is None] for address, _ in vectors["ip_allow"]]
    assert judged == vectors["ip_allow"]
    assert len(judged) >= 35


def test_a_private_network_can_be_allowed_and_opens_nothing_else() -> None:
    guard = AddressGuard(["10.1.0.0/16", "fd00:1::/64"])
    assert guard.refusal("10.1.2.3") is None
    assert guard.refusal("::ffff:10.1.2.3") is None
    assert guard.refusal("fd00:1::5") is None
    assert guard.refusal("10.2.0.1") is not None
    assert guard.refusal("fd00:2::5") is not None


@pytest.mark.parametrize(
    "address",
    [
        "169.254.169.254",
        "169.254.1.1",
        "::ffff:169.254.169.254",
        "::169.254.169.254",
        "64:ff9b::a9fe:a9fe",
        "64:ff9b:1::a9fe:a9fe",
        "2002:a9fe:a9fe::1",
        "fe80::1",
        "fe80::1%eth0",
        "fd00:ec2::254",
        "100.100.100.200",
        "168.63.129.16",
        "192.0.0.192",
    ],
)
def test_metadata_and_link_local_stay_closed_even_where_everything_is_allowed(address: str) -> None:
    assert "never" in str(AddressGuard(EVERYTHING).refusal(address))


@pytest.mark.parametrize("address", ["", "localhost", "127.1", "0x7f000001", "2130706433", "1.2.3.4.5"])
def test_what_is_no_address_is_refused(address: str) -> None:
    assert AddressGuard(EVERYTHING).refusal(address) == "not an IP address"


@given(st.integers(0, 2**32 - 1).map(IPv4Address))
def test_an_ipv4_address_is_judged_alike_in_both_its_forms(address: IPv4Address) -> None:
    guard = AddressGuard()
    mapped = IPv6Address((0xFFFF << 32) | int(address))
    assert (guard.refusal(str(address)) is None) == (guard.refusal(str(mapped)) is None)
    if address.is_private or address.is_loopback or address.is_link_local or address.is_multicast:
        assert guard.refusal(str(address)) is not None


@given(st.integers(0, 2**128 - 1).map(IPv6Address))
def test_no_ipv6_address_outside_global_unicast_is_allowed(address: IPv6Address) -> None:
    if int(address) >> 125 != 1 and address.ipv4_mapped is None:
        assert AddressGuard().refusal(str(address)) is not None


@pytest.mark.parametrize("text", ["10.0.0.0/33", "10.0.0.1/8", "localhost", ""])
def test_a_wrong_network_stops_the_start_and_is_named(text: str) -> None:
    with pytest.raises(ConfigError, match="allow_cidrs"):
        AddressGuard([text])
