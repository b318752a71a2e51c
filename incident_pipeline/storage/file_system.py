"""Which kind of file system a path lies on, as Linux says it.

Belongs here: reading the kernel's list of mounts. Does not belong here: what follows from it.
"""

from __future__ import annotations

from pathlib import Path

MOUNTS = Path("/proc/self/mountinfo")
SHARED = frozenset(
    {"nfs", "nfs4", "cifs", "smb3", "smbfs", "ceph", "lustre", "glusterfs", "9p", "afs", "gpfs", "beegfs"}
)
"""Kinds that several machines write to."""


def kind_of(path: Path, mounts: str) -> str:
    """The kind of the file system that a path lies on: `ext4`, `nfs4`, `fuse.sshfs`; empty where it cannot be told.

    Args:
        path: absolute.
        mounts: the text of `/proc/self/mountinfo`.
    """
    found, longest = "", -1
    for line in mounts.splitlines():
        before, _, after = line.partition(" - ")
        fields = before.split()
        if len(fields) < 5 or not after:
            continue
        place = Path(fields[4].encode().decode("unicode_escape"))
        # of two mounts at one place the later one is seen
        if path.is_relative_to(place) and len(place.parts) >= longest:
            found, longest = after.split()[0], len(place.parts)
    return found


def is_shared(kind: str) -> bool:
    """Whether several machines may write to a file system of this kind."""
    return kind in SHARED or kind.startswith("fuse.")
