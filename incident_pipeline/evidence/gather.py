"""Asking every source at once, each within its deadline.

Belongs here: which question is asked of whom, and that whatever happens becomes an envelope. What a source does with
the question is its connector's.
"""

from __future__ import annotations

import asyncio
import time
from collections.abc import Callable, Iterable, Mapping, Sequence
from datetime import datetime, timedelta
from typing import Any

from incident_pipeline.config import Scenario
from incident_pipeline.connectors.base import Question, Source
from incident_pipeline.connectors.limits import Ledger, limited_by
from incident_pipeline.connectors.registry import UnavailableSource
from incident_pipeline.errors import SourceError
from incident_pipeline.evidence.baseline import fetch_with_earlier_days
from incident_pipeline.evidence.circuits import Circuits
from incident_pipeline.evidence.envelopes import gathered, unavailable
from incident_pipeline.evidence.received import without_repeated
from incident_pipeline.evidence.service_identity import ServiceNames, renamed
from incident_pipeline.models import Envelope, EnvelopeStatus, EvidenceKind, Gathered, Incident, Service, Window
from kb.redaction import redact

SOFT = 0.85
"""Share of the deadline in which a source should say what it has; the rest is for saying it."""
MAX_SERVICES = 12

Clock = Callable[[], float]
Sources = Mapping[EvidenceKind, Sequence[Source]]


async def gather(
    kinds: Iterable[EvidenceKind],
    sources: Sources,
    incident: Incident,
    settings: Scenario,
    as_of: datetime,
    *,
    catalogue: Sequence[Service] = (),
    circuits: Circuits | None = None,
    clock: Clock = time.monotonic,
) -> dict[EvidenceKind, Gathered[Any]]:
    """Ask all sources of the kinds at the same time; the wait is that of the slowest.

    Args:
        kinds: what is wanted.
        sources: who is asked for each kind.
        incident: what it is about.
        settings: lookbacks, deadlines, limits.
        as_of: the end of every window.
        catalogue: services that those of the incident depend on are asked about too; rows are told under its names.
        circuits: sources that keep failing are not asked; None asks everybody.
        clock: seconds; measures how long each source took.

    Returns:
        One `Gathered` for each kind. It raises nothing because of a source: a failure of any sort, and a deadline that
        passes, is an `unavailable` envelope.
    """
    wanted = list(dict.fromkeys(kinds))
    questions = {kind: question_for(kind, incident, settings, as_of, catalogue) for kind in wanted}
    deadlines = {kind: deadline_of(kind, settings).total_seconds() for kind in wanted}
    asked = [(kind, source) for kind in wanted for source in sources.get(kind, ())]
    refusals = await asyncio.to_thread(circuits.refusals) if circuits else {}
    earlier = {EvidenceKind.METRICS: settings.context.metrics.baseline}
    answers = await asyncio.gather(
        *(
            _ask(source, questions[kind], earlier.get(kind, ()), deadlines[kind], clock, refusals.get(source.name))
            for kind, source in asked
        )
    )
    if circuits:
        await asyncio.to_thread(circuits.record, _outcomes(asked, answers, refusals))
    envelopes: dict[EvidenceKind, list[Envelope[Any]]] = {kind: [] for kind in wanted}
    for (kind, _), envelope in zip(asked, answers, strict=True):
        envelopes[kind].append(envelope)
    envelopes = {kind: without_repeated(found) for kind, found in envelopes.items()}
    if catalogue:
        names = ServiceNames(catalogue)
        envelopes = {kind: [_renamed(envelope, names) for envelope in found] for kind, found in envelopes.items()}
    own = {alert.dedup_key for alert in incident.alerts}
    if EvidenceKind.RELATED_ALERTS in envelopes:
        related = envelopes[EvidenceKind.RELATED_ALERTS]
        envelopes[EvidenceKind.RELATED_ALERTS] = [_without(envelope, own) for envelope in related]
    return {kind: gathered(kind, found) for kind, found in envelopes.items()}


def gather_now(
    kinds: Iterable[EvidenceKind],
    sources: Sources,
    incident: Incident,
    settings: Scenario,
    as_of: datetime,
    *,
    catalogue: Sequence[Service] = (),
    circuits: Circuits | None = None,
    rates: Ledger | None = None,
    clock: Clock = time.monotonic,
) -> dict[EvidenceKind, Gathered[Any]]:
    """`gather` for callers that are not asynchronous; closes the sources at the end.

    `rates` is how often all runs together may ask each source; None lets everybody ask.
    """

    async def run() -> dict[EvidenceKind, Gathered[Any]]:
        try:
            return await gather(
                kinds, sources, incident, settings, as_of, catalogue=catalogue, circuits=circuits, clock=clock
            )
        finally:
            await close(sources)

    with limited_by(rates):
        return asyncio.run(run())


async def close(sources: Sources) -> None:
    """Let go of the connections of all sources."""
    every = {id(source): source for asked in sources.values() for source in asked}
    await asyncio.gather(*(source.close() for source in every.values()), return_exceptions=True)


def question_for(
    kind: EvidenceKind, incident: Incident, settings: Scenario, as_of: datetime, catalogue: Sequence[Service] = ()
) -> Question:
    """What an incident needs to know of one kind."""
    context = settings.context
    first = min(incident.alerts, key=lambda alert: alert.started_at) if incident.alerts else None
    limits = {EvidenceKind.LOGS: context.logs.max_entries}
    projects = {
        EvidenceKind.DEPLOYMENTS: context.deployments.projects or context.code.repositories,
        EvidenceKind.CODE_CHANGES: context.code.repositories,
    }
    start = incident.started_at - lookback_of(kind, settings)
    return Question(
        kind=kind,
        window=Window(start=start, end=max(as_of, start)),
        around=incident.started_at,
        services=_services(incident, catalogue),
        environment=incident.environment,
        alert_labels=first.labels if first else {},
        limit=limits.get(kind, 1000),
        seconds=deadline_of(kind, settings).total_seconds() * SOFT,
        queries=context.metrics.queries,
        focus_patterns=context.logs.focus_patterns,
        focus_areas=context.code.focus_areas,
        projects=projects.get(kind, {}),
        namespaces=_namespaces(incident, catalogue, context.kubernetes.namespaces),
    )


def lookback_of(kind: EvidenceKind, settings: Scenario) -> timedelta:
    """How far before the incident's start a kind is looked at."""
    section = _section(kind, settings)
    return section.lookback if section is not None else timedelta(0)


def deadline_of(kind: EvidenceKind, settings: Scenario) -> timedelta:
    """How long each source of a kind may take."""
    section = _section(kind, settings)
    return section.deadline if section is not None else timedelta(seconds=8)


def _section(kind: EvidenceKind, settings: Scenario) -> Any:
    context = settings.context
    return {
        EvidenceKind.DEPLOYMENTS: context.deployments,
        EvidenceKind.CODE_CHANGES: context.code,
        EvidenceKind.FLAG_CHANGES: context.flags,
        EvidenceKind.METRICS: context.metrics,
        EvidenceKind.LOGS: context.logs,
        EvidenceKind.TRACES: context.traces,
        EvidenceKind.RELATED_ALERTS: context.related_alerts,
        EvidenceKind.KUBERNETES_STATE: context.kubernetes,
        EvidenceKind.ON_CALL: context.on_call,
    }.get(kind)


def _services(incident: Incident, catalogue: Sequence[Service]) -> tuple[str, ...]:
    """The incident's services, then those that they call: the cause is often one step down."""
    called = {service.name: service.depends_on for service in catalogue}
    next_ones = [name for service in incident.services for name in called.get(service, ())]
    return tuple(dict.fromkeys((*incident.services, *next_ones)))[:MAX_SERVICES]


def _namespaces(
    incident: Incident, catalogue: Sequence[Service], configured: Sequence[str]
) -> dict[str, tuple[str, ...]]:
    """Where the services run, by cluster: as the catalogue has it, else the configured namespaces."""
    wanted = set(_services(incident, catalogue))
    placed: dict[str, dict[str, None]] = {}
    for service in catalogue:
        if service.namespace and (service.name in wanted or not wanted):
            placed.setdefault(service.cluster or "", {})[service.namespace] = None
    found = {cluster: tuple(names) for cluster, names in placed.items()}
    return found or ({"": tuple(configured)} if configured else {})


def _outcomes(
    asked: Sequence[tuple[EvidenceKind, Source]], answers: Sequence[Envelope[Any]], refusals: Mapping[str, str]
) -> dict[str, str | None]:
    """Source -> why it failed; None where it answered at least one question. Who was not asked is left out."""
    outcomes: dict[str, str | None] = {}
    for (_, source), envelope in zip(asked, answers, strict=True):
        if source.name in refusals or isinstance(source, UnavailableSource) or source.name == "folder":
            continue
        failed = envelope.error if envelope.status is EnvelopeStatus.UNAVAILABLE else None
        known = outcomes.get(source.name, "")
        outcomes[source.name] = None if failed is None or known is None else failed
    return outcomes


async def _ask(
    source: Source,
    question: Question,
    earlier: Sequence[timedelta],
    deadline: float,
    clock: Clock,
    refusal: str | None = None,
) -> Envelope[Any]:
    if refusal is not None:
        return _failed(source, question, f"{source.name} was {refusal}").model_copy(update={"seconds": 0.0})
    started = clock()
    try:
        async with asyncio.timeout(deadline):
            # a folder is what was recorded, earlier days and all
            days = () if source.name == "folder" else earlier
            envelope = await (fetch_with_earlier_days(source, question, days) if days else source.fetch(question))
    except SourceError as error:
        envelope = _failed(source, question, str(error))
    except TimeoutError:
        envelope = _failed(source, question, f"{source.name} did not answer within {deadline:g} s")
    except Exception as error:  # noqa: BLE001  # whatever a connector does wrong costs its own evidence alone
        what = redact(" ".join(str(error).split()))[:200]
        envelope = _failed(source, question, f"the connector {source.name} failed: {type(error).__name__}: {what}")
    return envelope.model_copy(update={"seconds": round(clock() - started, 3)})


def _failed(source: Source, question: Question, reason: str) -> Envelope[Any]:
    return unavailable(question.kind, source.name, reason, window=question.window)


def _renamed(envelope: Envelope[Any], names: ServiceNames) -> Envelope[Any]:
    rows = renamed(envelope.rows, names)
    return (
        envelope
        if all(new is old for new, old in zip(rows, envelope.rows, strict=True))
        else (envelope.model_copy(update={"rows": rows}))
    )


def _without(envelope: Envelope[Any], own: set[str]) -> Envelope[Any]:
    """Related alerts are the others: those of the incident itself are left out."""
    rows = tuple(alert for alert in envelope.rows if alert.dedup_key not in own)
    if len(rows) == len(envelope.rows):
        return envelope
    return envelope.model_copy(update={"rows": rows, "status": EnvelopeStatus.OK if rows else EnvelopeStatus.EMPTY})
