"""The application's own state as Prometheus text.

Belongs here: names, help texts and the format. Does not belong here: counting.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from datetime import datetime

from incident_pipeline.models import IncidentStatus
from incident_pipeline.release import release
from incident_pipeline.storage.disk import DiskState
from incident_pipeline.storage.inbox.measures import Histogram
from incident_pipeline.storage.inbox.records import InboxState

PREFIX = "incident_pipeline"
CLAIM_STATES = ("claimed", "launched", "running", "succeeded", "failed", "lost", "put_back", "superseded")
RUN_STATES = ("claimed", "launched", "running")
MESSAGE_STATES = ("waiting", "retrying", "failed")
FIRST_UPDATE = "From accepting an incident's first alert to its first stored status update."
PARTS = ("receiver", "daemon")
"""What should give signs of life; one that never did has an age of its own: +Inf."""

Sample = tuple[Mapping[str, str], float]


def render(
    state: InboxState,
    now: datetime,
    requests: Mapping[tuple[str, int], int] | None = None,
    disk: DiskState | None = None,
) -> str:
    """The state as Prometheus text exposition format 0.0.4.

    Args:
        state: from `Inbox.state`.
        now: what ages are counted to.
        requests: (source, HTTP status) -> webhooks answered so, by the process that is asked.
        disk: from `disk_state`.
    """
    families = [
        _family("alerts_accepted_total", "counter", "Alerts accepted since the inbox exists.", [({}, state.accepted)]),
        _family("alerts_pending", "gauge", "Alerts that belong to no incident yet.", [({}, state.pending)]),
        _family(
            "oldest_unclaimed_seconds",
            "gauge",
            "How long the oldest alert or new incident has waited for its first diagnosis.",
            [({}, state.oldest_unclaimed_seconds)],
        ),
        _family(
            "oldest_postponed_seconds",
            "gauge",
            "How long the oldest incident that is to be closed out or diagnosed again has waited.",
            [({}, state.oldest_postponed_seconds)],
        ),
        _family("incidents", "gauge", "Incidents by status.", _by("status", IncidentStatus, state.incidents)),
        _family("incidents_given_up", "gauge", "Incidents whose runs kept failing.", [({}, state.given_up)]),
        _family("claims", "gauge", "Claims by state.", _by("state", CLAIM_STATES, state.claims)),
        _family("runs", "gauge", "Runs that go on, by how far they are.", _by("state", RUN_STATES, _going_on(state))),
        _family("runs_succeeded_total", "counter", "Runs that did what they should.", [({}, state.runs_succeeded)]),
        _family("runs_failed_total", "counter", "Runs that ended with an error.", [({}, state.runs_failed)]),
        _family("runs_lost_total", "counter", "Runs whose process died.", [({}, state.runs_lost)]),
        _histogram("time_to_first_update_seconds", FIRST_UPDATE, state.first_updates),
        _family(
            "source_errors_total",
            "counter",
            "Times that a source of evidence could not be asked.",
            [({"source": source}, number) for source, number in sorted(state.source_errors.items())],
        ),
        _family("messages", "gauge", "Messages that are not out.", _by("state", MESSAGE_STATES, state.messages)),
        _family("heartbeat_age_seconds", "gauge", "Since a part last said that it lives.", _ages(state, now)),
        _family("build_info", "gauge", "Which release this is.", [({"version": release()}, 1)]),
    ]
    if disk is not None:
        families += _disk(disk)
    if requests is not None:
        answered = [({"source": s, "code": str(code)}, float(n)) for (s, code), n in sorted(requests.items())]
        families.append(_family("webhook_requests_total", "counter", "Webhooks answered, by source.", answered))
    return "".join(families)


def _going_on(state: InboxState) -> Mapping[str, int]:
    return {name: state.claims.get(name, 0) for name in RUN_STATES}


def _disk(disk: DiskState) -> list[str]:
    families = [
        _family("disk_free_bytes", "gauge", "Room left where everything is stored.", [({}, disk.free_bytes)]),
        _family("disk_size_bytes", "gauge", "Size of the file system of the data directory.", [({}, disk.size_bytes)]),
    ]
    age = disk.knowledge_base_age_seconds
    if age is not None:
        text = "Since the index of the knowledge base was last published."
        families.append(_family("knowledge_base_age_seconds", "gauge", text, [({}, age)]))
    return families


def _histogram(name: str, text: str, measured: Histogram) -> str:
    full = f"{PREFIX}_{name}"
    buckets = [*measured.buckets.items(), (float("inf"), measured.count)]
    lines = [f"# HELP {full} {text}", f"# TYPE {full} histogram"]
    lines += [f"{full}_bucket{_labels({'le': _number(bound)})} {below}" for bound, below in buckets]
    lines += [f"{full}_sum {_number(measured.seconds)}", f"{full}_count {measured.count}"]
    return "\n".join(lines) + "\n"


def _ages(state: InboxState, now: datetime) -> list[Sample]:
    names = dict.fromkeys((*PARTS, *state.heartbeats))
    ages = {name: (now - at).total_seconds() for name, at in state.heartbeats.items()}
    return [({"part": name}, max(ages.get(name, float("inf")), 0.0)) for name in names]


def _by(label: str, known: Iterable[str], counts: Mapping[str, int]) -> list[Sample]:
    """A sample for every known value, zero included, so that nobody has to guess whether a series is missing."""
    return [({label: str(value)}, counts.get(str(value), 0)) for value in dict.fromkeys((*known, *counts))]


def _family(name: str, kind: str, text: str, samples: Iterable[Sample]) -> str:
    full = f"{PREFIX}_{name}"
    lines = [f"# HELP {full} {text}", f"# TYPE {full} {kind}"]
    lines += [f"{full}{_labels(labels)} {_number(value)}" for labels, value in samples]
    return "\n".join(lines) + "\n"


def _labels(labels: Mapping[str, str]) -> str:
    if not labels:
        return ""
    return "{" + ",".join(f'{name}="{_escaped(value)}"' for name, value in labels.items()) + "}"


def _escaped(value: str) -> str:
    return value.replace("\\", "\\\\").replace('"', '\\"').replace("\n", "\\n")


def _number(value: float) -> str:
    if value == float("inf"):
        return "+Inf"
    return str(int(value)) if float(value).is_integer() else repr(round(value, 3))
