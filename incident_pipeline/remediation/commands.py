"""Command lines that a person can read, approve and run.

Belongs here: building them from names that were checked; every argument is quoted for a shell although none is used.
Does not belong here: running them.
"""

from __future__ import annotations

import re
import shlex

_KUBERNETES_NAME = re.compile(r"[a-z0-9]([a-z0-9.\-]{0,251}[a-z0-9])?")
_SHA = re.compile(r"[0-9a-f]{7,64}", re.IGNORECASE)


def is_workload_name(name: str | None) -> bool:
    """Whether a name can be that of a Kubernetes workload (RFC 1123): nothing else is put into a command."""
    return bool(name and _KUBERNETES_NAME.fullmatch(name))


def is_sha(text: str | None) -> bool:
    """Whether a text is a commit's hash, whole or shortened."""
    return bool(text and _SHA.fullmatch(text))


def undo_rollout(service: str) -> str | None:
    """Go back to the version before; None where the name cannot be used in a command."""
    return _kubectl("rollout", "undo", f"deployment/{service}") if is_workload_name(service) else None


def restart(service: str) -> str | None:
    """Restart one pod after the other."""
    return _kubectl("rollout", "restart", f"deployment/{service}") if is_workload_name(service) else None


def scale(service: str, replicas: int) -> str | None:
    """Set the number of replicas."""
    if not is_workload_name(service) or not 0 < replicas <= 10_000:
        return None
    return _kubectl("scale", f"deployment/{service}", f"--replicas={replicas}")


def revert_commit(sha: str) -> str | None:
    """A commit that takes another one back."""
    return shlex.join(["git", "revert", "--no-edit", sha]) if is_sha(sha) else None


def patch(kind: str, name: str, namespace: str | None, steps: str) -> str | None:
    """Change an object of a cluster by a JSON patch; None where a name cannot be used in a command."""
    if not kind.isalpha() or not is_workload_name(name) or not (namespace is None or is_workload_name(namespace)):
        return None
    place = ["-n", namespace] if namespace else []
    return _kubectl("patch", kind.lower(), name, *place, "--type=json", "-p", steps)


def drain(node: str) -> str | None:
    """Move the pods of a node to others; it takes no new ones until it is uncordoned."""
    return _kubectl("drain", node, "--ignore-daemonsets") if is_workload_name(node) else None


def _kubectl(*arguments: str) -> str:
    return shlex.join(["kubectl", *arguments])
