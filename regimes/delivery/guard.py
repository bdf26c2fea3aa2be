"""Which addresses may be sent to, so that a webhook URL cannot be pointed at what only this machine can reach."""

import ipaddress
from collections.abc import Iterable
from ipaddress import IPv4Address, IPv4Network, IPv6Address, IPv6Network
from typing import Final, TypeAlias

from regimes.errors import ConfigError

Address: TypeAlias = IPv4Address | IPv6Address
Network: TypeAlias = IPv4Network | IPv6Network

# IANA special-purpose registries; `ipaddress.is_private` leaves many of them out.
_V4_NOT_PUBLIC: Final = tuple(
    IPv4Network(text)
    for text in (
        "0.0.0.0/8",  # this network
        "10.0.0.0/8",  # private
        "100.64.0.0/10",  # shared by carriers
        "127.0.0.0/8",  # loopback
        "169.254.0.0/16",  # link-local
        "172.16.0.0/12",  # private
        "192.0.0.0/24",  # protocol assignments
        "192.0.2.0/24",  # documentation
        "192.88.99.0/24",  # 6to4 relays
        "192.168.0.0/16",  # private
        "198.18.0.0/15",  # benchmarks
        "198.51.100.0/24",  # documentation
        "203.0.113.0/24",  # documentation
        "224.0.0.0/4",  # multicast
        "240.0.0.0/4",  # reserved, broadcast
    )
)
_V6_PUBLIC: Final = IPv6Network("2000::/3")
_V6_NOT_PUBLIC: Final = tuple(
    IPv6Network(text)
    for text in (
        "2001::/23",  # protocol assignments, Teredo
        "2001:db8::/32",  # documentation
        "2002::/16",  # 6to4
        "3fff::/20",  # documentation
    )
)
# Where clouds answer with credentials, and what is only ever the neighbour. No setting opens these.
_NEVER: Final[tuple[Network, ...]] = tuple(
    ipaddress.ip_network(text)
    for text in (
        "169.254.0.0/16",  # link-local; metadata of AWS, Azure, Google, DigitalOcean
        "100.100.100.200/32",  # Alibaba metadata
        "168.63.129.16/32",  # Azure wire server
        "192.0.0.192/32",  # Oracle metadata
        "fe80::/10",  # link-local
        "fd00:ec2::254/128",  # AWS metadata
        "fd20:ce::254/128",  # Google metadata
    )
)
_NAT64: Final = (IPv6Network("64:ff9b::/96"), IPv6Network("64:ff9b:1::/48"))
_V4_COMPATIBLE: Final = IPv6Network("::/96")


class AddressGuard:
    """The rule by which a connection is allowed: public addresses, and the networks the operator names."""

    def __init__(self, allow_cidrs: Iterable[str] = ()) -> None:
        """allow_cidrs: such as `10.1.0.0/16`. Raises ConfigError."""
        self._allowed = tuple(_network(text) for text in allow_cidrs)

    def refusal(self, address: str) -> str | None:
        """Why an address must not be connected to; None when it may."""
        try:
            ip = _plain(ipaddress.ip_address(address))
        except ValueError:
            return "not an IP address"
        if any(_is_in(form, network) for form in (ip, *_embedded(ip)) for network in _NEVER):
            return f"{ip} is link-local or a metadata service and never allowed"
        if _is_public(ip) or any(_is_in(ip, network) for network in self._allowed):
            return None
        return f"{ip} is not public: add its network to delivery.allow_cidrs if it is yours"


def _network(text: str) -> Network:
    try:
        return ipaddress.ip_network(text)
    except ValueError as error:
        raise ConfigError(
            f"delivery.allow_cidrs: {text!r} is no network ({error}): write it like 10.1.0.0/16 or fd00:1::/64"
        ) from None


def _plain(ip: Address) -> Address:
    """The IPv4 address an IPv6 one stands for in the socket layer."""
    if isinstance(ip, IPv6Address):
        return ip.ipv4_mapped or (IPv6Address(int(ip)) if ip.scope_id else ip)
    return ip


def _embedded(ip: Address) -> tuple[IPv4Address, ...]:
    """IPv4 addresses a translator or tunnel would make of an IPv6 one."""
    if isinstance(ip, IPv4Address):
        return ()
    found = [ip.sixtofour, *(ip.teredo or ())]
    if any(ip in network for network in _NAT64) or ip in _V4_COMPATIBLE:
        found.append(IPv4Address(int(ip) & 0xFFFF_FFFF))
    return tuple(v4 for v4 in found if v4 is not None)


def _is_public(ip: Address) -> bool:
    if isinstance(ip, IPv4Address):
        return not any(ip in network for network in _V4_NOT_PUBLIC)
    return ip in _V6_PUBLIC and not any(ip in network for network in _V6_NOT_PUBLIC)


def _is_in(ip: Address, network: Network) -> bool:
    return ip.version == network.version and ip in network
