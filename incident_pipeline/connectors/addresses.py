"""Which addresses a request that others have a say in may reach.

Belongs here: the one look-up whose answer is then connected to, so that a name means the same a moment later.
Does not belong here: HTTP.
"""

from __future__ import annotations

import ipaddress
import socket
from collections.abc import Collection

from incident_pipeline.errors import PermanentSourceError

Address = ipaddress.IPv4Address | ipaddress.IPv6Address


def checked_address(host: str, port: int, allowed: Collection[str]) -> str:
    """The address to connect to for a host.

    Args:
        host: a name or an address.
        port: the port.
        allowed: hosts, as `name` or `name:port`, that may be reached whatever their address is.

    Raises:
        PermanentSourceError: the name is not known, or one of its addresses is private, loopback, link-local or
            otherwise not of the public internet, and the host is not allowed.
    """
    try:
        found = socket.getaddrinfo(host, port, type=socket.SOCK_STREAM)
    except (OSError, UnicodeError) as error:
        raise PermanentSourceError(f"the host {host} is not known") from error
    addresses = [ipaddress.ip_address(str(entry[4][0]).partition("%")[0]) for entry in found]
    if not addresses:
        raise PermanentSourceError(f"the host {host} has no address")
    if {host.lower(), f"{host.lower()}:{port}"}.isdisjoint(name.lower() for name in allowed):
        for address in addresses:
            if not _is_public(address):
                raise PermanentSourceError(
                    f"{host} is {address}, which is not a public address; if it is right, name it in "
                    "remediation.execution.hosts"
                )
    return str(addresses[0])


def _is_public(address: Address) -> bool:
    inner = getattr(address, "ipv4_mapped", None) or getattr(address, "sixtofour", None) or _translated(address)
    return address.is_global and not address.is_multicast and (inner is None or _is_public(inner))


def _translated(address: Address) -> Address | None:
    """The IPv4 address within one of the well-known NAT64 prefix."""
    prefix = ipaddress.ip_network("64:ff9b::/96")
    return ipaddress.IPv4Address(int(address) & 0xFFFFFFFF) if address.version == 6 and address in prefix else None
