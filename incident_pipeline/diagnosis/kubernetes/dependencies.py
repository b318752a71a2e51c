"""What an app cannot reach or use: addresses in its environment, databases, names.

Belongs here: callers' expectations against what is there. Does not belong here: services as such (`routing.py`).
"""

from __future__ import annotations

import re
from collections.abc import Iterator, Sequence

from incident_pipeline.diagnosis.kubernetes.cluster import App, Cluster, full_text, is_ready, name_of, namespace_of
from incident_pipeline.diagnosis.kubernetes.fields import Fields, at, fields_at, number_at, rows_at, text_at, words_at
from incident_pipeline.diagnosis.kubernetes.findings import (
    CERTAIN,
    LIKELY,
    STRONG,
    WEAK,
    Edit,
    Finding,
    Repair,
    app_object,
)
from incident_pipeline.models import LogEntry

_ADDRESS = re.compile(
    r"(?:[a-z][a-z0-9+.-]*://)?(?:[^@/\s]*@)?([a-z0-9]([a-z0-9.-]*[a-z0-9])?):(\d{2,5})(?:/.*)?", re.I
)
_DENIED = re.compile(
    r"Access denied for user|password authentication failed|SQLState: 28000|\b1045\b.{0,20}28000|authentication failed "
    r"for user|Login failed for user|WRONGPASS|NOAUTH",
    re.I,
)
_HANDSHAKE = re.compile(r"PROTOCOL_ENQUEUE_AFTER_FATAL_ERROR|Cannot enqueue \w+ after fatal error", re.I)
"""What the Node.js driver says when the server has ended the handshake: it answered, and did not let the client in."""
_UNREACHABLE = re.compile(
    r"Communications? link failure|Connection refused.{0,80}(?:sql|jdbc|330\d)|Can't connect to (?:MySQL|server)|"
    r"could not connect to server|Unable to open JDBC Connection|SQLState: 08(?:S01|001)|dial tcp \S+:33\d\d",
    re.I,
)
_FULL = re.compile(
    r"Too many connections|remaining connection slots are reserved|too many clients already|max_user_connections|"
    r"max number of clients reached|\bSQLState: 08004\b",
    re.I,
)
_READ_ONLY = re.compile(
    r"--(?:super-)?read-only|read[- ]only (?:option|transaction|mode|sql)|READONLY You can't write|super_read_only|"
    r"cannot execute \w+ in a read-only|\b(?:error|errno|code)\D{0,8}1290\b",
    re.I,
)
_NO_NAME = re.compile(
    r"UnknownHostException|Temporary failure in name resolution|Name or service not known|no such host|EAI_AGAIN|"
    r"server misbehaving|Name does not resolve|unable to resolve|could not resolve|"
    r"lookup \S+ on \S+: .*(?:timeout|refused)",
    re.I,
)
_DATABASE = re.compile(r"mysql|mariadb|percona|postgres|redis|mongo|cockroach|mssql|oracle", re.I)


def dependencies(cluster: Cluster) -> list[Finding]:
    """What apps expect of others and do not get."""
    found: list[Finding] = []
    for app in cluster.apps:
        found += _addresses(cluster, app)
        found += _names(cluster, app)
        found += _client(cluster, app)
    return [*found, *_databases(cluster)]


# --- addresses in the environment ---------------------------------------------------------------


def _addresses(cluster: Cluster, app: App) -> Iterator[Finding]:
    """Variables that name another service by a port or a name that it does not have."""
    for place, container in enumerate(app.containers):
        for number, variable in enumerate(rows_at(container, "env")):
            match = _ADDRESS.fullmatch(text_at(variable, "value").strip())
            if match:
                finding = _address(cluster, app, (place, number), variable, match[1].lower(), int(match[3]))
                if finding is not None:
                    yield finding


def _address(
    cluster: Cluster, app: App, place: tuple[int, int], variable: Fields, host: str, port: int
) -> Finding | None:
    name, _, rest = host.partition(".")
    namespace = rest.split(".")[0] if rest and ("svc" in rest or cluster.named("Namespace", rest)) else app.namespace
    shown = f"{app.kind} {app.name}, env {text_at(variable, 'name')}={text_at(variable, 'value')[:120]}"
    if rest and namespace == app.namespace and not rest.startswith(app.namespace):
        return None
    service = cluster.named("Service", name, namespace)
    if service is not None:
        ports = [number_at(one, "port") for one in rows_at(service, "spec", "ports")]
        if text_at(service, "spec", "type") == "ExternalName" or not ports:
            return None
        if port in ports:
            other = _named_by(cluster, text_at(variable, "name"), name, namespace)
            why = f"the variable is named after the service {other}"
            return _wrong_address(app, place, shown, why, None, LIKELY) if other else None
        if _others_agree(cluster, app, host, port):
            return None
        right = f"{name}{'.' + rest if rest else ''}:{ports[0]}"
        why = f"the service {name} listens on {', '.join(map(str, ports))}"
        return _wrong_address(app, place, shown, why, right, CERTAIN)
    return _unknown_host(cluster, app, place, variable, shown, name, port, namespace)


def _unknown_host(
    cluster: Cluster,
    app: App,
    place: tuple[int, int],
    variable: Fields,
    shown: str,
    name: str,
    port: int,
    namespace: str,
) -> Finding | None:
    """No such service: wrong only where the logs complain, or another service has that port and is called by nobody."""
    if not cluster.knows("Service") or name in {"localhost"} or name.replace(".", "").isdigit():
        return None
    if cluster.app(name, namespace) is not None:
        return None
    complaints = [line for line in cluster.lines_with(app.name, _NO_NAME) if name in full_text(line)]
    meant = _meant(cluster, text_at(variable, "name"), name, port, namespace)
    if meant is None and not complaints:
        return None
    why = f"there is no service {name}" + (f"; {meant} has that port" if meant else "")
    weight = CERTAIN if meant and complaints else STRONG if meant else LIKELY
    return _wrong_address(app, place, shown, why, f"{meant}:{port}" if meant else None, weight)


def _meant(cluster: Cluster, variable: str, name: str, port: int, namespace: str) -> str | None:
    """The service that was probably meant: it has the port, and its name is close to the host or the variable's."""
    plain = re.sub(r"[^a-z0-9]", "", variable.lower())
    for service in cluster.bodies("Service"):
        own = name_of(service)
        ports = [number_at(one, "port") for one in rows_at(service, "spec", "ports")]
        if namespace_of(service) != namespace or port not in ports:
            continue
        bare = re.sub(r"[^a-z0-9]", "", own.lower())
        if bare[:6] in plain or bare in name or name in bare or _near(own, name):
            return own
    return None


def _named_by(cluster: Cluster, variable: str, host: str, namespace: str) -> str | None:
    """The one service that a variable is named after, where that is not the host it holds."""
    plain = re.sub(r"[^a-z0-9]", "", variable.lower())
    if _stem(host) in plain:
        return None
    services = (name_of(one) for one in cluster.bodies("Service") if namespace_of(one) == namespace)
    meant = [name for name in services if len(_stem(name)) >= 4 and _stem(name) in plain]
    return meant[0] if len(meant) == 1 else None


def _stem(name: str) -> str:
    return re.sub(r"(?:service|svc)$", "", re.sub(r"[^a-z0-9]", "", name.lower()))


def _near(one: str, other: str) -> bool:
    from difflib import SequenceMatcher

    return len(one) < 80 and len(other) < 80 and SequenceMatcher(None, one, other).ratio() >= 0.75


def _others_agree(cluster: Cluster, app: App, host: str, port: int) -> bool:
    """Whether other callers use the same address: then the service is the one that moved."""
    told = [
        int(match[3])
        for other in cluster.apps
        if other.name != app.name and other.namespace == app.namespace
        for container in other.containers
        for variable in rows_at(container, "env")
        if (match := _ADDRESS.fullmatch(text_at(variable, "value").strip())) and match[1].lower() == host
    ]
    return bool(told) and all(one == port for one in told)


def _wrong_address(app: App, place: tuple[int, int], shown: str, why: str, right: str | None, weight: float) -> Finding:
    path = ("spec", "template", "spec", "containers", place[0], "env", place[1], "value")
    return Finding(
        "service_env_var_address_mismatch",
        app_object(app.name),
        weight,
        f"{app.name} has a wrong address of another service in its environment",
        (f"{shown}: {why}",),
        repair=Repair(app.kind, app.name, app.namespace, (Edit(path, right),)) if right else None,
    )


# --- names --------------------------------------------------------------------------------------


def _names(cluster: Cluster, app: App) -> Iterator[Finding]:
    """Pods that ask another name server than the cluster's, or that alone cannot resolve."""
    policy, config = text_at(app.template, "dnsPolicy"), fields_at(app.template, "dnsConfig")
    servers = words_at(config, "nameservers")
    lines = cluster.lines_with(app.name, _NO_NAME)
    unresolved = [line for line in lines if not _about_missing(cluster, line)]
    odd = policy == "None" or (policy == "Default" and bool(servers))
    running = [pod for pod in app.pods if text_at(pod, "status", "phase") == "Running" and not is_ready(pod)]
    if not odd and not (unresolved and running):
        return
    others = sum(bool(cluster.lines_with(other.name, _NO_NAME)) for other in cluster.apps if other.name != app.name)
    weight = CERTAIN if odd and servers else STRONG if odd or not others else WEAK
    shown = f"{app.kind} {app.name}: dnsPolicy {policy or 'ClusterFirst'}"
    edits = (
        Edit(("spec", "template", "spec", "dnsPolicy"), "ClusterFirst"),
        Edit(("spec", "template", "spec", "dnsConfig"), None),
    )
    yield Finding(
        "service_dns_resolution_failure",
        app_object(app.name),
        weight,
        f"The pods of {app.name} cannot resolve the names of services",
        (
            shown + (f", nameservers {', '.join(servers)}" if servers else ""),
            *(f'{app.name} logs "{full_text(line)[:200]}"' for line in unresolved[-1:]),
        ),
        since=unresolved[0].timestamp if unresolved else None,
        repair=Repair(app.kind, app.name, app.namespace, edits) if odd else None,
    )


def _about_missing(cluster: Cluster, line: LogEntry) -> bool:
    """Whether the name that does not resolve is one that nothing bears: then the name is wrong, not the resolver."""
    return cluster.service_names is None or not cluster.service_names.search(full_text(line))


# --- databases ----------------------------------------------------------------------------------


def is_database(app: App) -> bool:
    """Whether the app is a database, by its name or its images."""
    return bool(_DATABASE.search(app.name)) or any(
        _DATABASE.search(text_at(container, "image").rpartition("/")[2]) for container in app.containers
    )


def _client(cluster: Cluster, app: App) -> Iterator[Finding]:
    """A client that a database turns away, or that calls it where it does not listen."""
    if is_database(app):
        return
    denied, cut_off = cluster.lines_with(app.name, _DENIED), cluster.lines_with(app.name, _UNREACHABLE)
    troubled = app.ready < max(app.wanted, 1)
    if denied:
        yield _line_finding("mysql_invalid_credentials", app, denied, CERTAIN if troubled else STRONG, "logs in with")
        return
    ended = cluster.lines_with(app.name, _HANDSHAKE)
    if ended and troubled and not cut_off:
        yield _line_finding("mysql_invalid_credentials", app, ended, LIKELY + 0.05, "logs in with")
        return
    if not cut_off or cluster.lines_with(app.name, _FULL) or cluster.lines_with(app.name, _NO_NAME):
        return
    clients = [other for other in cluster.apps if other.name != app.name and not is_database(other)]
    also = [c for c in clients if cluster.lines_with(c.name, _UNREACHABLE) and c.ready < max(c.wanted, 1)]
    if troubled and len(also) <= 1:
        yield _line_finding("mysql_invalid_port", app, cut_off, STRONG, "calls")


def _line_finding(mechanism: str, app: App, lines: Sequence[LogEntry], weight: float, verb: str) -> Finding:
    what = "the wrong user or password" if "credentials" in mechanism else "at a port where it does not listen"
    return Finding(
        mechanism,
        app_object(app.name),
        weight,
        f"{app.name} {verb} {'its database with ' if 'logs' in verb else 'its database '}{what}".replace(
            "logs in with its database with", "logs in to its database with"
        ),
        (
            f'{app.name} logs "{full_text(lines[-1])[:240]}" ({len(lines)} lines)',
            f"{app.kind} {app.name}: environment from {_sources(app) or 'its template'}",
        ),
        since=lines[0].timestamp,
    )


def _sources(app: App) -> str:
    names = [
        f"{kind} {name}"
        for container in app.containers
        for source in rows_at(container, "envFrom")
        for kind, key in (("secret", "secretRef"), ("config map", "configMapRef"))
        if (name := at(source, key, "name"))
    ]
    return ", ".join(names)


def _databases(cluster: Cluster) -> Iterator[Finding]:
    """Databases that are full or take no writes, by what their clients and they themselves say."""
    stores = [app for app in cluster.apps if is_database(app)]
    for mechanism, pattern, says in (
        ("db_connection_exhaustion", _FULL, "has no connections left"),
        ("db_read_only", _READ_ONLY, "accepts no writes"),
    ):
        votes: dict[str, list[str]] = {}
        firsts = []
        for app in cluster.apps:
            lines = cluster.lines_with(app.name, pattern)
            # followers of a database are read-only by design, and say so
            if not lines or (pattern is _READ_ONLY and is_database(app)):
                continue
            firsts.append(lines[0].timestamp)
            for store in _stores_of(cluster, app, stores, lines):
                votes.setdefault(store.name, []).append(f'{app.name} logs "{full_text(lines[-1])[:200]}"')
        if votes:
            name = max(votes, key=lambda one: (len(votes[one]), one))
            yield Finding(
                mechanism,
                app_object(name),
                CERTAIN,
                f"The database {name} {says}",
                tuple(votes[name][:4]),
                since=min(firsts),
                victims=tuple(sorted(line.split(" logs ")[0] for line in votes[name] if not line.startswith(name))),
            )


def _stores_of(cluster: Cluster, app: App, stores: Sequence[App], lines: Sequence[LogEntry]) -> list[App]:
    """The databases that an app's complaint is about: itself, one that a line names, those it calls, else all."""
    if is_database(app):
        return [app]
    text = " ".join(full_text(line) for line in lines[-5:])
    named = [store for store in stores if store.name in text]
    called = [store for store in stores if store.name in cluster.calls.get(app.name, ())]
    return (
        named
        or called
        or [one for one in stores if one.namespace == app.namespace and not _is_of_another(cluster, one)]
    )


def _is_of_another(cluster: Cluster, store: App) -> bool:
    """Whether the database is named after an app that does not complain: then it is that one's own."""
    owners = [
        app for app in cluster.apps if len(app.name) >= 4 and store.name != app.name and store.name.startswith(app.name)
    ]
    return bool(owners) and not any(cluster.lines_with(app.name, _FULL) for app in owners)
