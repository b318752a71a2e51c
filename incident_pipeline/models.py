"""The words of the domain, as frozen values.

Belongs here: what an alert, an incident, its evidence, its diagnosis and its documents *are*.
Does not belong here: how any of it is fetched, stored, computed or shown.

Every timestamp is timezone-aware UTC; a naive one is read as UTC, a number as seconds since 1970.
"""

from __future__ import annotations

from collections.abc import Sequence
from datetime import UTC, datetime
from enum import StrEnum
from typing import Annotated, Any, Generic, TypeVar

from pydantic import BaseModel, BeforeValidator, ConfigDict, Field


def parse_utc(value: Any) -> Any:
    """Read a datetime, an ISO 8601 text or seconds since 1970 as an aware UTC datetime.

    Raises:
        ValueError: it is none of these, or outside the years 1 to 9999.
    """
    try:
        if isinstance(value, str):
            text = value.strip()
            try:
                value = float(text)
            except ValueError:
                value = datetime.fromisoformat(text)
        if isinstance(value, int | float) and not isinstance(value, bool):
            return datetime.fromtimestamp(value, tz=UTC)
        if isinstance(value, datetime):
            return value.replace(tzinfo=UTC) if value.tzinfo is None else value.astimezone(UTC)
    except (OverflowError, OSError) as error:
        raise ValueError("not a moment between the years 1 and 9999") from error
    return value


Utc = Annotated[datetime, BeforeValidator(parse_utc)]


CENTURY_MS = 100 * 365.25 * 86_400_000.0
"""No unit of work takes as long; what claims to is a malformed row, not a number to compute with."""


class Model(BaseModel):
    """A frozen value that ignores what it does not know."""

    model_config = ConfigDict(frozen=True, extra="ignore", allow_inf_nan=True)


class Severity(StrEnum):
    """How bad it is; P1 is the worst. Sorting the values sorts by urgency."""

    P1 = "P1"
    P2 = "P2"
    P3 = "P3"
    P4 = "P4"
    P5 = "P5"


class AlertStatus(StrEnum):
    """What the source says of an alert."""

    TRIGGERED = "triggered"
    ACKNOWLEDGED = "acknowledged"
    RESOLVED = "resolved"


class IncidentStatus(StrEnum):
    """Where an incident is on its way."""

    INVESTIGATING = "investigating"
    IDENTIFIED = "identified"
    MITIGATING = "mitigating"
    MONITORING = "monitoring"
    RESOLVED = "resolved"
    CLOSED = "closed"
    MERGED = "merged"


class Category(StrEnum):
    """Root-cause categories."""

    DEPLOYMENT_ISSUE = "deployment_issue"
    CONFIGURATION_ERROR = "configuration_error"
    CAPACITY_PROBLEM = "capacity_problem"
    DEPENDENCY_FAILURE = "dependency_failure"
    CODE_BUG = "code_bug"
    EXTERNAL_FACTOR = "external_factor"


class Alert(Model):
    """One notification from one source."""

    source: str
    source_id: str
    dedup_key: str
    title: str
    summary: str = ""
    severity: Severity = Severity.P3
    status: AlertStatus = AlertStatus.TRIGGERED
    service: str | None = None
    environment: str | None = None
    labels: dict[str, str] = Field(default_factory=dict)
    started_at: Utc
    received_at: Utc | None = None
    resolved_at: Utc | None = None
    url: str | None = None
    raw: dict[str, Any] | None = None


class Incident(Model):
    """Alerts that are about one problem."""

    incident_id: str
    title: str
    status: IncidentStatus = IncidentStatus.INVESTIGATING
    severity: Severity = Severity.P3
    services: tuple[str, ...] = ()
    environment: str | None = None
    alerts: tuple[Alert, ...] = ()
    started_at: Utc
    detected_at: Utc | None = None
    received_at: Utc | None = None
    acknowledged_at: Utc | None = None
    mitigated_at: Utc | None = None
    resolved_at: Utc | None = None
    diagnosed_at: Utc | None = None
    """When its first status update was stored."""
    merged_into: str | None = None
    slack_channel: str | None = None
    slack_thread_ts: str | None = None
    replayed_from: str | None = None
    """The incident folder that stands in for the sources, for a replayed incident."""


# --- evidence -----------------------------------------------------------------------------------


class Deployment(Model):
    """One release of one version of one service."""

    id: str
    service: str | None = None
    environment: str | None = None
    version: str | None = None
    previous_version: str | None = None
    status: str | None = None
    strategy: str | None = None
    started_at: Utc | None = None
    finished_at: Utc | None = None
    actor: str | None = None
    url: str | None = None
    commit_sha: str | None = None
    source: str | None = None
    attributes: dict[str, Any] = Field(default_factory=dict)

    @property
    def at(self) -> datetime | None:
        """When the release took effect: its end, or its start while it is still going on."""
        return self.finished_at or self.started_at


class CodeChange(Model):
    """One commit."""

    sha: str
    repository: str | None = None
    service: str | None = None
    author: str | None = None
    message: str = ""
    files: tuple[str, ...] = ()
    diff: str | None = None
    additions: int | None = None
    deletions: int | None = None
    committed_at: Utc | None = None
    url: str | None = None
    focus_areas: tuple[str, ...] = ()
    attributes: dict[str, Any] = Field(default_factory=dict)


class FlagChange(Model):
    """A feature flag that was turned."""

    name: str
    service: str | None = None
    value: str | None = None
    previous_value: str | None = None
    changed_at: Utc | None = None
    actor: str | None = None
    attributes: dict[str, Any] = Field(default_factory=dict)


class Span(Model):
    """One unit of work of one service within a trace; duration in milliseconds."""

    trace_id: str
    span_id: str
    parent_id: str | None = None
    service: str | None = None
    name: str = ""
    start: Utc
    duration_ms: float = Field(default=0.0, gt=-CENTURY_MS, lt=CENTURY_MS)
    status: str = "unset"
    attributes: dict[str, Any] = Field(default_factory=dict)


class Service(Model):
    """A service of the catalogue and what it calls."""

    name: str
    depends_on: tuple[str, ...] = ()
    owner: str | None = None
    tier: str | None = None
    aliases: tuple[str, ...] = ()
    namespace: str | None = None
    """The Kubernetes namespace that it runs in."""
    cluster: str | None = None
    """The cluster that it runs in, as the kubeconfig names its context."""


class MetricSeries(Model):
    """Samples of one quantity of one service, sorted by time; a missing value is NaN."""

    name: str
    service: str | None = None
    labels: dict[str, str] = Field(default_factory=dict)
    unit: str | None = None
    source: str | None = None
    timestamps: tuple[float, ...] = ()
    """Seconds since 1970, ascending."""
    values: tuple[float, ...] = ()

    @property
    def key(self) -> str:
        """`name{label=value,...}`, the series' name in sentences and files."""
        if not self.labels:
            return self.name
        return self.name + "{" + ",".join(f"{k}={v}" for k, v in sorted(self.labels.items())) + "}"


class KubernetesObject(Model):
    """One object of a cluster, as `kubectl get -o json` gives it, without the values of secrets."""

    kind: str
    name: str
    namespace: str | None = None
    cluster: str | None = None
    captured_at: Utc | None = None
    """When the cluster was read."""
    body: dict[str, Any] = Field(default_factory=dict)


class LogEntry(Model):
    """One line of one service's log."""

    timestamp: Utc
    service: str | None = None
    level: str | None = None
    message: str
    attributes: dict[str, Any] = Field(default_factory=dict)


class OnCall(Model):
    """Somebody who is on call, and for what."""

    name: str
    """A person or a team; never an address."""
    level: int | None = None
    """Of the escalation: 1 is called first."""
    service: str | None = None
    """The service of the incident that this is for; None: not known to be for it."""
    policy: str | None = None
    """The escalation policy or schedule."""
    until: Utc | None = None
    source: str | None = None
    url: str | None = None


class Window(Model):
    """A span of time, start included, end excluded."""

    start: Utc
    end: Utc


class EvidenceKind(StrEnum):
    """What can be asked of a source; each is an asset of its own."""

    DEPLOYMENTS = "deployments"
    CODE_CHANGES = "code_changes"
    FLAG_CHANGES = "flag_changes"
    METRICS = "metrics"
    LOGS = "logs"
    TRACES = "traces"
    RELATED_ALERTS = "related_alerts"
    SERVICE_GRAPH = "service_graph"
    KUBERNETES_STATE = "kubernetes_state"
    ON_CALL = "on_call"


class EnvelopeStatus(StrEnum):
    """Empty is evidence ("no deployments"); unavailable is not ("deployments unknown")."""

    OK = "ok"
    EMPTY = "empty"
    UNAVAILABLE = "unavailable"


Row = TypeVar("Row", bound=Model)


class Envelope(Model, Generic[Row]):
    """What one source answered to one question."""

    source: str
    status: EnvelopeStatus
    rows: tuple[Row, ...] = ()
    window: Window | None = None
    query: str | None = None
    error: str | None = None
    seconds: float | None = None
    """How long the source took."""
    truncated: bool = False
    """The source had more than the cap allowed."""
    partial: bool = False
    """The deadline came before the source had said all."""
    notes: tuple[str, ...] = ()
    """What a reader should know: malformed lines that were skipped, and so on."""

    @classmethod
    def of(cls, source: str, rows: Sequence[Row], **about: Any) -> Envelope[Row]:
        """An answer: `ok` with rows, `empty` without."""
        status = EnvelopeStatus.OK if rows else EnvelopeStatus.EMPTY
        return cls(source=source, status=status, rows=tuple(rows), **about)

    @classmethod
    def unavailable(cls, source: str, error: str, **about: Any) -> Envelope[Row]:
        """No answer, and why."""
        return cls(source=source, status=EnvelopeStatus.UNAVAILABLE, error=error, **about)


class Gap(Model):
    """Evidence that could not be had: from where, why, and what it could have told."""

    kind: str
    source: str
    reason: str
    could_have_told: str = ""


COULD_HAVE_TOLD: dict[str, str] = {
    EvidenceKind.DEPLOYMENTS: "whether a release came before the onset",
    EvidenceKind.CODE_CHANGES: "what was changed, and where",
    EvidenceKind.FLAG_CHANGES: "whether a feature flag was turned",
    EvidenceKind.METRICS: "which service moved first, and how far",
    EvidenceKind.LOGS: "what the services themselves complained of",
    EvidenceKind.TRACES: "where errors start and where time is spent",
    EvidenceKind.RELATED_ALERTS: "what else fired at the same time",
    EvidenceKind.SERVICE_GRAPH: "who calls whom",
    EvidenceKind.KUBERNETES_STATE: "what the cluster itself says of its pods, services and nodes",
    EvidenceKind.ON_CALL: "whom to ask",
}


def _why(envelope: Envelope[Any]) -> str:
    nothing = "nothing was read before the deadline or a failure, and there may be more"
    return envelope.error or (nothing if envelope.partial else "no answer")


class Gathered(Model, Generic[Row]):
    """One kind of evidence: the envelopes of all sources that were asked for it."""

    kind: EvidenceKind
    envelopes: tuple[Envelope[Row], ...] = ()

    @property
    def rows(self) -> tuple[Row, ...]:
        """The rows of all sources, in the order of the sources."""
        if len(self.envelopes) == 1:
            return self.envelopes[0].rows
        return tuple(row for envelope in self.envelopes for row in envelope.rows)

    @property
    def status(self) -> EnvelopeStatus:
        """`ok` with rows; else `empty` if any source answered; else `unavailable`."""
        answered = [e for e in self.envelopes if e.status is not EnvelopeStatus.UNAVAILABLE]
        if any(e.rows for e in self.envelopes):
            return EnvelopeStatus.OK
        return EnvelopeStatus.EMPTY if answered else EnvelopeStatus.UNAVAILABLE

    @property
    def gaps(self) -> tuple[Gap, ...]:
        """One gap for each source that did not answer; one if nobody could be asked.

        Not everybody has a cluster: that none is configured is no gap.
        """
        if not self.envelopes and self.kind is EvidenceKind.KUBERNETES_STATE:
            return ()
        told = COULD_HAVE_TOLD[self.kind]
        if not self.envelopes:
            return (Gap(kind=self.kind, source=self.kind, reason="no source is configured", could_have_told=told),)
        return tuple(
            Gap(kind=self.kind, source=e.source, reason=_why(e), could_have_told=told)
            for e in self.envelopes
            if e.status is EnvelopeStatus.UNAVAILABLE or (e.partial and not e.rows)
        )

    @property
    def cut(self) -> tuple[str, ...]:
        """One sentence for each source that answered with less than it has."""
        told = []
        for envelope in self.envelopes:
            if envelope.rows and envelope.truncated:
                told.append(f"{envelope.source}: more than the {len(envelope.rows)} that were read")
            elif envelope.rows and envelope.partial:
                told.append(f"{envelope.source}: {len(envelope.rows)} were read before the deadline or a failure")
        return tuple(told)


class Evidence(Model):
    """All that was gathered about one incident: the only input of the diagnosis."""

    deployments: Gathered[Deployment] = Gathered(kind=EvidenceKind.DEPLOYMENTS)
    code_changes: Gathered[CodeChange] = Gathered(kind=EvidenceKind.CODE_CHANGES)
    flag_changes: Gathered[FlagChange] = Gathered(kind=EvidenceKind.FLAG_CHANGES)
    metrics: Gathered[MetricSeries] = Gathered(kind=EvidenceKind.METRICS)
    logs: Gathered[LogEntry] = Gathered(kind=EvidenceKind.LOGS)
    traces: Gathered[Span] = Gathered(kind=EvidenceKind.TRACES)
    related_alerts: Gathered[Alert] = Gathered(kind=EvidenceKind.RELATED_ALERTS)
    service_graph: Gathered[Service] = Gathered(kind=EvidenceKind.SERVICE_GRAPH)
    kubernetes_state: Gathered[KubernetesObject] = Gathered(kind=EvidenceKind.KUBERNETES_STATE)
    on_call: Gathered[OnCall] = Gathered(kind=EvidenceKind.ON_CALL)

    @property
    def gaps(self) -> tuple[Gap, ...]:
        """The gaps of every kind that tells of causes; who is on call does not."""
        kinds = (kind for kind in EvidenceKind if kind is not EvidenceKind.ON_CALL)
        return tuple(gap for kind in kinds for gap in getattr(self, kind.value).gaps)


ROW_TYPES: dict[EvidenceKind, type[Model]] = {
    EvidenceKind.DEPLOYMENTS: Deployment,
    EvidenceKind.CODE_CHANGES: CodeChange,
    EvidenceKind.FLAG_CHANGES: FlagChange,
    EvidenceKind.METRICS: MetricSeries,
    EvidenceKind.LOGS: LogEntry,
    EvidenceKind.TRACES: Span,
    EvidenceKind.RELATED_ALERTS: Alert,
    EvidenceKind.SERVICE_GRAPH: Service,
    EvidenceKind.KUBERNETES_STATE: KubernetesObject,
    EvidenceKind.ON_CALL: OnCall,
}


# --- diagnosis ----------------------------------------------------------------------------------


class SeriesAnomaly(Model):
    """One series that left its normal behaviour."""

    service: str | None = None
    series: str
    """`MetricSeries.key`."""
    kind: str = "level"
    """level, spike, drop, trend, saturation, flat_line, missing."""
    onset: Utc
    before: float
    """Typical value in the normal time."""
    after: float
    """Typical value since the onset."""
    score: float
    """How far it moved, in robust standard deviations of the normal time."""


class LogPattern(Model):
    """Log lines that say the same thing."""

    pattern_id: str
    template: str
    service: str | None = None
    level: str | None = None
    count: int
    """Lines since the onset."""
    count_before: int = 0
    """Lines in the normal time."""
    first_seen: Utc
    last_seen: Utc
    example: str = ""
    score: float = 0.0
    """How much this pattern says about the incident, 0 to 1."""
    category: Category | None = None
    mechanism: str | None = None


class ServiceSymptom(Model):
    """What is wrong with one service, since when."""

    service: str
    score: float
    """How likely the problem starts here; comparable within one incident."""
    since: Utc | None = None
    reasons: tuple[str, ...] = ()


class Symptoms(Model):
    """What is broken, since when, where first."""

    onset: Utc | None = None
    onset_evidence: str = ""
    services: tuple[ServiceSymptom, ...] = ()
    """Every service seen, the likeliest origin first."""
    first_failing_service: str | None = None
    blast_radius: tuple[str, ...] = ()
    anomalies: tuple[SeriesAnomaly, ...] = ()
    """Strongest first."""
    log_patterns: tuple[LogPattern, ...] = ()
    """Most telling first."""
    looked_at: dict[str, int] = Field(default_factory=dict)
    """How many rows of each kind were read, so that "nothing found" can be judged."""


class CausedBy(Model):
    """What a hypothesis blames; kind is change, deployment, flag, log_pattern, metric, incident, object or none."""

    kind: str
    id: str | None = None


class InvolvedObject(Model):
    """The thing in which it went wrong: an app, a node or a namespace."""

    kind: str
    name: str


class ObjectEdit(Model):
    """One field of an object, and what it should be."""

    path: tuple[str | int, ...]
    """Keys and list positions from the object's top."""
    to: Any = None
    """None takes the field away."""


class ObjectChange(Model):
    """What one object of a cluster would have to say instead."""

    kind: str
    name: str
    namespace: str | None = None
    edits: tuple[ObjectEdit, ...] = ()


class Hypothesis(Model):
    """One possible cause."""

    category: Category
    service: str | None = None
    description: str
    confidence: float
    """The probability that this is the cause."""
    evidence: tuple[str, ...] = ()
    suggested_actions: tuple[str, ...] = ()
    caused_by: CausedBy = CausedBy(kind="none")
    mechanism: str | None = None
    object: InvolvedObject | None = None
    change: ObjectChange | None = None
    """What would put it right, where an object of the cluster has to say something else."""
    approach: str
    disproved_by: str = ""
    """One line: what would show that this is wrong."""


class RankedService(Model):
    """A service and how likely the problem starts there."""

    service: str
    score: float


class Diagnosis(Model):
    """Ranked hypotheses, and what they were made from."""

    summary: str
    hypotheses: tuple[Hypothesis, ...] = ()
    services: tuple[RankedService, ...] = ()
    first_failing_service: str | None = None
    blast_radius: tuple[str, ...] = ()
    root_cause_change: str | None = None
    """A sha; "none" where the evidence says that no change is to blame; None where it cannot tell."""
    root_cause_deployment: str | None = None
    onset: Utc | None = None
    gaps: tuple[Gap, ...] = ()
    engine_version: str = ""

    @property
    def primary(self) -> Hypothesis | None:
        """The likeliest hypothesis, or None where nothing speaks for any."""
        return self.hypotheses[0] if self.hypotheses else None


class SimilarIncident(Model):
    """A past incident that looks like this one, and why."""

    incident_id: str
    title: str
    similarity: float
    """0 to 1; `correlation_threshold` is compared with it."""
    why: tuple[str, ...] = ()
    category: Category | None = None
    cause: str | None = None
    fixed_by: str | None = None
    ended_at: Utc | None = None
    confirmed: bool = False
    """A person said that the cause is right."""
    vote_accuracy: float | None = None
    """How often the past incidents that were similar to another one named its category."""


class SuggestedRunbook(Model):
    """A runbook that may apply, and why."""

    runbook_id: str
    title: str
    score: float
    why: str = ""
    source: str | None = None
    snippet: str = ""


# --- what is done and said ----------------------------------------------------------------------


class ActionType(StrEnum):
    """What can be proposed."""

    ROLLBACK = "rollback"
    ROLL_FORWARD = "roll_forward"
    SCALE = "scale"
    CONFIG_REVERT = "config_revert"
    RESTART = "restart"
    FAILOVER = "failover"
    DISABLE_FLAG = "disable_flag"
    ROTATE_CERT = "rotate_cert"
    PURGE_BAD_DATA = "purge_bad_data"
    RESCHEDULE = "reschedule"
    ESCALATE_UPSTREAM = "escalate_upstream"
    RUNBOOK_STEP = "runbook_step"
    COMMUNICATE = "communicate"


class ActionState(StrEnum):
    """Where an action is on its way."""

    PROPOSED = "proposed"
    APPROVED = "approved"
    REJECTED = "rejected"
    EXPIRED = "expired"
    EXECUTING = "executing"
    DONE = "done"
    FAILED = "failed"
    UNKNOWN = "unknown"
    UNDONE = "undone"


class Risk(StrEnum):
    """How much an action can break."""

    NONE = "none"
    LOW = "low"
    MEDIUM = "medium"
    HIGH = "high"


class ActionCall(Model):
    """What is asked of which system to carry an action out; every name in it is resolved, none is guessed."""

    executor: str
    """kubectl, argocd, github-actions, ...: a name of `remediation/executors`."""
    operation: str
    """What the executor is to do: rollback, scale, restart, ..."""
    parameters: dict[str, str] = Field(default_factory=dict)


class SeriesCheck(Model):
    """Which series shows that an action helped: all its values of the last `hold_seconds` on the right side."""

    name: str
    """The query's name in `context.metrics.queries`."""
    series: str
    """`MetricSeries.key`."""
    service: str | None = None
    threshold: float
    below: bool = True
    """Whether good values are at most the threshold; else at least."""
    within_seconds: float = 600.0
    """How long after the action it is looked at."""
    hold_seconds: float = 180.0


class RemediationAction(Model):
    """One thing that could be done; nothing is done before a person says yes."""

    action_id: str
    type: ActionType
    state: ActionState = ActionState.PROPOSED
    title: str
    """What a person reads in the status update: "Rollback to previous version (v2.3.4)"."""
    why: str = ""
    target: str | None = None
    command: str | None = None
    risk: Risk = Risk.LOW
    expected_effect: str = ""
    verification: str = ""
    undo: str = ""
    requires_approval: bool = True
    missing: str = ""
    """What is not known and therefore keeps the action from being approved."""
    environment: str | None = None
    evidence: tuple[str, ...] = ()
    """What speaks for the cause that it answers."""
    risk_reasons: tuple[str, ...] = ()
    needs: tuple[str, ...] = ()
    """What it takes to carry it out."""
    call: ActionCall | None = None
    """How a system is asked to do it; None: a person does it by hand."""
    check: SeriesCheck | None = None
    undo_of: str | None = None
    """The action that this one takes back."""
    diff: str = ""
    """What would change in an object of the cluster, as a unified diff."""


class CommunicationStep(Model):
    """Who is told what, by which channel, and when they next hear."""

    audience: str
    channel: str
    message: str
    next_update_due: Utc | None = None
    """None: it is over."""


class Remediation(Model):
    """The proposed actions, the recommended one first."""

    actions: tuple[RemediationAction, ...] = ()
    communication: tuple[str, ...] = ()
    communication_plan: tuple[CommunicationStep, ...] = ()


class TimelineEntry(Model):
    """One thing that happened, or that was done."""

    at: Utc
    kind: str
    text: str
    source: str = ""


class Timeline(Model):
    """What happened and what was done, in order."""

    entries: tuple[TimelineEntry, ...] = ()


class StatusUpdate(Model):
    """What people are told, in Markdown."""

    markdown: str
    as_of: Utc


class Impact(Model):
    """What it cost; None reads "not measured"."""

    users_affected: str | None = None
    requests_failed: str | None = None
    revenue_impact: str | None = None
    sla_breach: str | None = None


class ActionItem(Model):
    """A follow-up of a postmortem; owner None is "to be assigned"."""

    type: str
    title: str
    description: str
    priority: str
    owner: str | None = None


class Postmortem(Model):
    """The record and the document."""

    title: str
    date: str
    duration_seconds: float | None = None
    severity: Severity
    summary: str
    impact: Impact = Impact()
    timeline: tuple[TimelineEntry, ...] = ()
    root_cause_category: Category | None = None
    root_cause: str = ""
    root_cause_evidence: tuple[str, ...] = ()
    resolution: str = ""
    time_to_detect_seconds: float | None = None
    """From the onset to the first alert."""
    time_to_acknowledge_seconds: float | None = None
    """From the first alert to somebody who was on it."""
    time_to_diagnose_seconds: float | None = None
    """From the first alert to the first status update."""
    time_to_mitigate_seconds: float | None = None
    """From the onset to when users no longer felt it."""
    time_to_resolve_seconds: float | None = None
    """From the onset to the end."""
    verified_by: str | None = None
    lessons_learned: tuple[str, ...] = ()
    action_items: tuple[ActionItem, ...] = ()
    key_logs: tuple[str, ...] = ()
    key_metrics: tuple[str, ...] = ()
    links: tuple[str, ...] = ()
    markdown: str = ""
    generated: str = ""
    """The document as it was generated last; empty: as in `markdown`."""
    edited_by: str | None = None
    """Who changed the document; what they wrote is kept when it is generated again."""
    overruled: str = ""
    """Where what people wrote stands against what would be generated now: a unified diff."""


class RunbookUpdate(Model):
    """A proposed addition to the runbook of this failure mode."""

    runbook_id: str | None = None
    title: str
    markdown: str
    diff: str = ""
    """What changes in the text of an existing runbook, as a unified diff; empty for a new one."""


class KnowledgeBaseEntry(Model):
    """What the knowledge base learns from a closed incident."""

    document_id: str
    kind: str = "incident"
    title: str
    text: str
    services: tuple[str, ...] = ()
    category: Category | None = None
    date: str | None = None
    labels: dict[str, str] = Field(default_factory=dict)
    signature: dict[str, Any] = Field(default_factory=dict)
    """What the incident looked like, as `kb.IncidentSignature` reads it."""


class Materialization(Model):
    """One stored version of one asset of one incident."""

    incident_id: str
    asset: str
    version: int
    data_version: str
    code_version: str = ""
    run_id: str
    as_of: Utc
    knowledge_base_version: str | None = None
    materialized_at: Utc
    rows: int = 0
    status: EnvelopeStatus = EnvelopeStatus.OK
    sources: tuple[dict[str, Any], ...] = ()
    """The envelopes without their rows: what was asked, what was answered, how long it took."""
