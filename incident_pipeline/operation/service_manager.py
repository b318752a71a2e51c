"""What systemd is told of a service of `Type=notify`: that it is ready, lives, stops. Elsewhere nothing happens.

Belongs here: sd_notify(3), which is one datagram. Does not belong here: what ready means.
"""

from __future__ import annotations

import os
import socket

READY, ALIVE, STOPPING = "READY=1", "WATCHDOG=1", "STOPPING=1"
VARIABLE = "NOTIFY_SOCKET"


def tell(state: str) -> bool:
    """Send a state to the service manager; False where there is none, or it does not listen."""
    address = os.environ.get(VARIABLE, "")
    if not address:
        return False
    # a leading @ is a name without a file
    place = "\0" + address[1:] if address.startswith("@") else address
    try:
        with socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM) as sender:
            sender.sendto(state.encode(), place)
    except OSError:
        return False
    return True
