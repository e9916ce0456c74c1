"""NO_PROXY as curl (lib/noproxy.c) and Go (golang.org/x/net/http/httpproxy) read it: more widely than urllib. No I/O.

Where the two differ, what either would call directly is called directly: curl takes `.example.com` for the name itself
too, Go knows `*.example.com` and ports. `10.*` is neither's; it is what people write.
"""

import ipaddress
import re
from typing import Final

_SEPARATORS: Final = re.compile(r"[,\s]+")  # curl takes blanks for commas
_PORT: Final = re.compile(r"(\[[^]]*\]|[^:]*):([0-9]{1,5})")

IpAddress = ipaddress.IPv4Address | ipaddress.IPv6Address


def goes_direct(host: str, port: int | None, no_proxy: str) -> bool:
    """Whether a host, a name or an address without brackets, is one of those that no proxy is asked for."""
    name = host.lower().removesuffix(".")
    address = _address(name)
    return any(_matches(entry, name, address, port) for entry in _SEPARATORS.split(no_proxy.lower()) if entry)


def _matches(entry: str, name: str, address: IpAddress | None, port: int | None) -> bool:
    if with_port := _PORT.fullmatch(entry):
        entry, wanted = with_port.groups()
        if int(wanted) != port:
            return False
    entry = entry.replace("[", "").replace("]", "")
    if address is not None and (network := _network(entry)) is not None:
        return address in network or _unmapped(address) in network
    suffix = entry.removeprefix("*").removeprefix(".").removesuffix(".")
    if "*" in suffix:
        return re.fullmatch(".*".join(map(re.escape, entry.split("*"))), name) is not None
    if address is not None:
        return entry == "*"
    return entry == "*" or (suffix != "" and f".{name}".endswith(f".{suffix}"))


def _address(text: str) -> IpAddress | None:
    try:
        return ipaddress.ip_address(text.partition("%")[0])
    except ValueError:
        return None


def _unmapped(address: IpAddress) -> IpAddress:
    """10.1.2.3 of ::ffff:10.1.2.3."""
    mapped = address.ipv4_mapped if isinstance(address, ipaddress.IPv6Address) else None
    return mapped or address


def _network(text: str) -> ipaddress.IPv4Network | ipaddress.IPv6Network | None:
    """A range, or an address as a range of one."""
    if (address := _address(text)) is not None:
        return ipaddress.ip_network(_unmapped(address))
    try:
        return ipaddress.ip_network(text, strict=False)
    except ValueError:
        return None
