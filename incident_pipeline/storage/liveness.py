"""Whether the process of a run still lives, as the kernel sees it.

A run holds a lock on a file of its own for as long as its process lives. The kernel lets go of it at any kind of
end, `kill -9` included, so nobody has to guess from time-outs. Holds for processes of one machine; past that, the
lease of the claim decides.
"""

from __future__ import annotations

import fcntl
from pathlib import Path
from typing import IO

_HELD: dict[Path, IO[bytes]] = {}


def hold(directory: Path, run_id: str) -> None:
    """Mark the run as alive until this process ends; calling it again changes nothing."""
    path = _lock_file(directory, run_id)
    if path in _HELD:
        return
    directory.mkdir(parents=True, exist_ok=True)
    handle = path.open("ab")
    fcntl.flock(handle, fcntl.LOCK_EX)
    _HELD[path] = handle


def release(directory: Path, run_id: str) -> None:
    """Forget the run: it has ended in order."""
    path = _lock_file(directory, run_id)
    handle = _HELD.pop(path, None)
    path.unlink(missing_ok=True)
    if handle is not None:
        handle.close()


def hand_over(directory: Path, run_id: str) -> None:
    """Called in the parent after a fork: the child, which shares the lock, is now the only one that holds it."""
    handle = _HELD.pop(_lock_file(directory, run_id), None)
    if handle is not None:
        handle.close()


def keep_only(directory: Path, run_id: str) -> None:
    """Called in the child after a fork: let go of the locks that the parent holds for others."""
    own = _lock_file(directory, run_id)
    for path in [path for path in _HELD if path != own]:
        _HELD.pop(path).close()


def is_alive(directory: Path, run_id: str) -> bool | None:
    """True while its process lives, False once it has died, None if it never said that it started."""
    try:
        with _lock_file(directory, run_id).open("rb") as handle:
            fcntl.flock(handle, fcntl.LOCK_SH | fcntl.LOCK_NB)
            return False
    except FileNotFoundError:
        return None
    except BlockingIOError:
        return True


def _lock_file(directory: Path, run_id: str) -> Path:
    return directory / f"{Path(run_id).name}.lock"
