"""Where the data directory lies decides whether an inbox may be a file."""

from __future__ import annotations

from pathlib import Path

import pytest

from incident_pipeline.storage.file_system import is_shared, kind_of

MOUNTS = """\
22 1 254:0 / / rw,relatime shared:1 - ext4 /dev/vda rw
30 22 0:40 / /srv/a\\040b rw - nfs4 server:/export rw,vers=4.2
31 22 0:41 / /srv rw shared:2 master:3 - xfs /dev/vdb rw
32 22 0:42 / /home rw - fuse.sshfs me@host: rw
33 22 0:43 / /home rw - tmpfs tmpfs rw
not a line of it
"""


@pytest.mark.parametrize(
    ("path", "kind", "shared"),
    [
        ("/var/lib/x", "ext4", False),
        ("/srv/data", "xfs", False),
        ("/srv/a b/data", "nfs4", True),
        ("/srv/a bc", "xfs", False),
        ("/home/me", "tmpfs", False),
    ],
)
def test_the_mount_that_holds_a_path_says_what_it_is(path: str, kind: str, shared: bool) -> None:
    assert kind_of(Path(path), MOUNTS) == kind
    assert is_shared(kind) is shared


def test_what_cannot_be_told_is_not_guessed() -> None:
    assert kind_of(Path("/x"), "") == ""
    assert is_shared("fuse.sshfs")
    assert not is_shared("")
