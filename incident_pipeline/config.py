"""The configuration: what `incident.yaml` may say, with every default.

Belongs here: the shape of the configuration, as frozen models. Reading the file and filling in `${NAME}` is in
`configuration/file.py`; what `config check` says of each key is in `configuration/report.py`.
"""

from __future__ import annotations

import re
from datetime import timedelta
from difflib import get_close_matches
from pathlib import Path
from typing import Annotated, Any, Literal

from pydantic import BaseModel, ConfigDict, Field, SecretStr, field_validator, model_validator
from pydantic.json_schema import SkipJsonSchema

from incident_pipeline.durations import Duration
from incident_pipeline.hours import ClockTime, TimeZone
from incident_pipeline.models import ActionType, Category, Severity, Utc


class Section(BaseModel):
    """A part of the configuration; unknown keys are errors."""

    model_config = ConfigDict(frozen=True, extra="forbid", use_attribute_docstrings=True)

    @model_validator(mode="before")
    @classmethod
    def _nothing_is_the_default(cls, data: Any) -> Any:
        """A key with nothing behind it (its lines are commented out) says as much as no key."""
        if data is None:
            return {}
        if not isinstance(data, dict):
            return data
        return {key: value for key, value in data.items() if value is not None or key not in cls.model_fields}


class MissingVariable(Section):
    """A `${NAME}` of the file that the environment does not have."""

    key: str
    """Where it is named: `alerts.sources.datadog.api_key`."""
    variable: str
    switches_off: str
    """What does not work without it."""

    @property
    def sentence(self) -> str:
        """What a person should know: the key, the variable, what is switched off."""
        return f"{self.key}: {self.variable} is not set, which switches off: {self.switches_off}"


class AlertSource(Section):
    """One system that alerts come from."""

    enabled: bool = True
    """Whether alerts of this source are taken."""
    api_key: SecretStr | None = None
    """The system's API key, as `${NAME}`; also used for its metrics and logs."""
    app_key: SecretStr | None = None
    """The second key of systems that want two (Datadog), as `${NAME}`."""
    token: SecretStr | None = None
    """The system's token, as `${NAME}`, where it has tokens rather than keys."""
    channel: str | None = None
    """The channel that is read (Slack)."""
    poll_interval: Duration = timedelta(seconds=30)
    """How often a source with an API key and no webhook is asked."""
    mapping: dict[str, str] = Field(default_factory=dict)
    """For webhooks of any shape: alert field -> JMESPath expression on the body."""


class MaintenanceWindow(Section):
    """A planned time in which alerts of some services start no run."""

    services: tuple[str, ...] = ()
    """Which services; empty: all."""
    environment: str | None = None
    """Only alerts of this environment; nothing: every environment."""
    start: Utc
    """When it begins, ISO 8601; without an offset it is UTC."""
    end: Utc
    """When it ends."""
    reason: str
    """Why; shown with the alerts that it kept quiet."""

    @model_validator(mode="after")
    def _ends_after_it_starts(self) -> MaintenanceWindow:
        if self.end <= self.start:
            raise ValueError(f"ends at {self.end.isoformat()}, which is not after its start {self.start.isoformat()}")
        return self


class Grouping(Section):
    """How alerts become incidents."""

    window: Duration = timedelta(minutes=10)
    """Alerts of one service, or of services that depend on each other, within this time are one incident."""
    flap_window: Duration = timedelta(minutes=30)
    """An alert that fires again this soon after its incident was resolved opens it again."""


class Alerts(Section):
    """Where alerts come from and how they are grouped."""

    sources: dict[str, AlertSource] = Field(default_factory=dict)
    """Name of the source -> its keys; webhooks of sources that are not named are taken too."""
    grouping: Grouping = Grouping()
    maintenance: tuple[MaintenanceWindow, ...] = ()
    """Planned work, in which alerts start no run."""


class DeploymentContext(Section):
    """Recent deployments."""

    sources: tuple[str, ...] = ()
    """Systems that are asked: github-actions, argocd, jenkins."""
    lookback: Duration = timedelta(hours=24)
    """How far before the first alert deployments are looked for."""
    deadline: Duration = timedelta(seconds=8)
    """How long each source may take; later it is a gap."""
    projects: dict[str, tuple[str, ...]] = Field(default_factory=dict)
    """Service -> its repositories, applications or jobs."""


class CodeContext(Section):
    """Recent code changes."""

    sources: tuple[str, ...] = ()
    """Systems that are asked; empty: git, where repositories are named."""
    lookback: Duration = timedelta(hours=48)
    """How far before the first alert changes are looked for."""
    deadline: Duration = timedelta(seconds=8)
    """How long each source may take; later it is a gap."""
    focus_areas: tuple[str, ...] = ()
    """Areas that weigh more: config, database, api, dependencies, or a path."""
    repositories: dict[str, tuple[str, ...]] = Field(default_factory=dict)
    """Service -> paths or URLs of its repositories; `*` for all services."""


class MetricContext(Section):
    """Metrics."""

    provider: str | None = None
    """The system that is asked: prometheus, datadog, cloudwatch."""
    baseline: tuple[Duration, ...] = (timedelta(days=1),)
    """How long before, such as [1d, 7d], the same hour is read as well, as what is normal then; empty: not."""
    queries: dict[str, str] = Field(default_factory=dict)
    """Name -> query; `$service` and `$environment` are filled in for each incident."""
    lookback: Duration = timedelta(hours=4)
    """How far before the first alert the series begin."""
    deadline: Duration = timedelta(seconds=8)
    """How long each source may take; later it is a gap."""


class LogContext(Section):
    """Logs."""

    provider: str | None = None
    """The system that is asked: datadog, elasticsearch, cloudwatch."""
    lookback: Duration = timedelta(hours=2)
    """How far before the first alert the lines begin."""
    max_entries: int = Field(default=1000, ge=1)
    """Lines at most."""
    focus_patterns: tuple[str, ...] = ()
    """Lines that match one of these (case-insensitive text) weigh more."""
    deadline: Duration = timedelta(seconds=8)
    """How long each source may take; later it is a gap."""


class SourcesContext(Section):
    """Evidence that is only read where a source of it is named."""

    sources: tuple[str, ...] = ()
    """Systems that are asked; empty: nobody."""
    lookback: Duration = timedelta(hours=4)
    """How far before the first alert it is looked for."""
    deadline: Duration = timedelta(seconds=8)
    """How long each source may take; later it is a gap."""


class FlagContext(SourcesContext):
    """Feature flags that were turned."""

    lookback: Duration = timedelta(hours=24)
    """How far before the first alert flips are looked for."""


class KubernetesContext(Section):
    """The state of the Kubernetes cluster."""

    sources: tuple[str, ...] = ()
    """`kubernetes` where the cluster is read; empty: nobody is asked."""
    namespaces: tuple[str, ...] = ()
    """Namespaces that are read for services whose namespace the catalogue does not name."""
    lookback: Duration = timedelta(hours=4)
    """Events that were last seen longer before the first alert are left out."""
    deadline: Duration = timedelta(seconds=8)
    """How long each source may take; later it is a gap."""


class OnCallContext(Section):
    """Who is on call, asked of PagerDuty and Opsgenie where they are used."""

    deadline: Duration = timedelta(seconds=5)
    """How long each source may take; later the update does not say."""

    @property
    def lookback(self) -> timedelta:
        """Who is on call now is all that is asked."""
        return timedelta(0)


class HistoryContext(Section):
    """Similar incidents of the past."""

    similar_lookback: Duration = timedelta(days=90)
    """How old a past incident may be."""
    correlation_threshold: float = Field(default=0.7, ge=0, le=1)
    """A past incident below this similarity is not similar."""


class Context(Section):
    """What is gathered about an incident."""

    deployments: DeploymentContext = DeploymentContext()
    code: CodeContext = CodeContext()
    flags: FlagContext = FlagContext()
    metrics: MetricContext = MetricContext()
    logs: LogContext = LogContext()
    traces: SourcesContext = SourcesContext()
    related_alerts: SourcesContext = SourcesContext()
    kubernetes: KubernetesContext = KubernetesContext()
    on_call: OnCallContext = OnCallContext()
    history: HistoryContext = HistoryContext()


class Approaches(Section):
    """Each approach of the diagnosis, with its switch."""

    log_pattern_analysis: bool = True
    """Causes from what the logs complain of since the onset."""
    metric_correlation: bool = True
    """Causes from which series moved, and which first."""
    change_correlation: bool = True
    """Causes from deployments and code changes before the onset."""
    cluster_state: bool = True
    """Causes from the objects of the Kubernetes cluster: what disagrees, and what it complains of."""
    similar_incident_match: bool = True
    """Causes from what past incidents like this one turned out to be."""


class DiagnosisSettings(Section):
    """How causes are found."""

    approaches: Approaches = Approaches()
    categories: tuple[Category, ...] = tuple(Category)
    """The categories that may be named."""
    updates: tuple[Duration, ...] = (
        timedelta(0),
        timedelta(minutes=1),
        timedelta(minutes=3),
        timedelta(minutes=10),
    )
    """When an incident is diagnosed, counted from its first alert."""
    max_concurrent: int = Field(default=4, ge=1)
    """How many incidents are diagnosed at the same time."""


class Action(Section):
    """One type of action."""

    enabled: bool = True
    """Whether it is proposed at all."""
    require_approval: bool = True
    """Whether a person must agree first."""


class QuietHours(Section):
    """A part of each day in which somebody is not disturbed; what comes in it is sent at its end."""

    start: ClockTime
    """When it begins, `22:00`."""
    end: ClockTime
    """When it ends, `07:00`; earlier than the start: on the next day."""
    timezone: TimeZone = "UTC"
    """Where that is the time, such as Europe/Berlin."""
    unless: tuple[Severity, ...] = (Severity.P1,)
    """Severities that do not wait."""


class Stakeholder(Section):
    """Who is told in plain words, of what, and how."""

    name: str
    """What they are called: support, management."""
    severities: tuple[Severity, ...] = (Severity.P1, Severity.P2)
    """Incidents of which severity they hear of."""
    services: tuple[str, ...] = ()
    """Of which services; empty: of all."""
    slack_channel: str | None = None
    """A channel of theirs."""
    emails: tuple[str, ...] = ()
    """Their addresses; needs `connections.smtp`."""
    webhook: str | None = None
    """The name of the connection to which a notice is posted as JSON."""
    quiet_hours: QuietHours | None = None
    """When they are not disturbed."""


class UpdateIntervals(Section):
    """How long after one update the next is due, by severity."""

    P1: Duration = timedelta(minutes=30)
    """For the most severe."""
    P2: Duration = timedelta(hours=1)
    """For severe ones."""
    P3: Duration = timedelta(hours=4)
    """For the rest of the working day."""
    P4: Duration = timedelta(hours=24)
    """For small ones."""
    P5: Duration = timedelta(hours=24)
    """For the smallest."""


class Communication(Section):
    """Who is told."""

    slack_channel: str | None = None
    """Where status updates are posted."""
    test_channel: str | None = None
    """Where Slack messages go instead while `remediation.shadow` is on; nothing: nowhere."""
    notes: tuple[Literal["pagerduty", "opsgenie"], ...] = ()
    """At whom the status update is also written as a note on the alerts of the incident; empty: nowhere."""
    follow: tuple[Literal["pagerduty", "opsgenie"], ...] = ()
    """Whose alerts are acknowledged and resolved there when a person does so here; empty: nobody's."""
    status_page: bool = False
    """Whether an update of the public status page is proposed."""
    stakeholder_notify: bool = False
    """Whether a notice to stakeholders is proposed, and sent to those in `stakeholders`."""
    stakeholders: tuple[Stakeholder, ...] = ()
    """Who is told in plain words, of what, and how."""
    components: dict[str, str] = Field(default_factory=dict)
    """Service -> the id of its component on the status page; a service without one is never named there."""
    public_names: dict[str, str] = Field(default_factory=dict)
    """Service -> what the public calls it; without one its incident is told as "one of our services"."""
    updates: UpdateIntervals = UpdateIntervals()


def known_action(name: str) -> str:
    """The name of an action type with underscores; hyphens are accepted.

    Raises:
        ValueError: no such action type.
    """
    types = [action_type.value for action_type in ActionType]
    slug = name.replace("-", "_")
    if slug in types:
        return slug
    close = get_close_matches(slug, types, n=1)
    raise ValueError(
        f"there is no action {name!r}; " + (f"did you mean {close[0]}?" if close else f"known are {', '.join(types)}")
    )


_HOURS = re.compile(r"([01]\d|2[0-3]):([0-5]\d)-([01]\d|2[0-3]):([0-5]\d)")


class PolicyRule(Section):
    """One rule of who must agree; the first that fits an action decides."""

    action: str
    """The type of action; `*`: every type, where a person decides."""
    environment: str
    """In this environment, and no other; `*`: every environment, where a person decides."""
    services: tuple[str, ...] = ()
    """Only on these services; empty: all."""
    risk: Literal["none", "low", "medium", "high"] | None = None
    """The highest risk that it is about; nothing: low for what runs by itself (never more), else high."""
    hours: str | None = None
    """Only at this time of day, UTC, such as `08:00-18:00` or `22:00-06:00`."""
    decide: Literal["automatic", "approval", "forbidden"] = "automatic"
    """Whether it runs by itself, waits for people, or is never done."""
    approvers: tuple[str, ...] = ()
    """Who may approve; empty: those of `remediation.approvers`."""
    approvals: int = Field(default=1, ge=1)
    """How many different people must agree."""
    valid_for: Duration = timedelta(hours=1)
    """How long an approval is good for."""
    per_day: int = Field(default=3, ge=0)
    """How often within 24 hours it runs by itself before it stops and asks."""

    @property
    def highest_risk(self) -> str:
        """The highest risk that it is about."""
        return self.risk or ("low" if self.decide == "automatic" else "high")

    @field_validator("action")
    @classmethod
    def _known_action(cls, name: str) -> str:
        return name if name == "*" else known_action(name)

    @field_validator("hours")
    @classmethod
    def _readable_hours(cls, hours: str | None) -> str | None:
        if hours is not None and not _HOURS.fullmatch(hours):
            raise ValueError(f"{hours!r} is not a time of day; write 08:00-18:00")
        return hours

    @model_validator(mode="after")
    def _automatic_is_narrow(self) -> PolicyRule:
        if self.decide == "automatic" and self.risk in ("medium", "high"):
            raise ValueError("what runs by itself has at most risk low; write risk: low or decide: approval")
        if self.decide == "automatic" and "*" in (self.action, self.environment.strip()):
            raise ValueError("what runs by itself names its action and its environment; * is for decide: approval")
        return self


class Person(Section):
    """Somebody who may decide."""

    token: SecretStr | None = None
    """What they log in with on the page of approvals, as `${NAME}`; nothing: not there."""
    slack: str | None = None
    """Their user id in Slack."""

    @field_validator("token")
    @classmethod
    def _long_enough(cls, token: SecretStr | None) -> SecretStr | None:
        if token is not None and len(token.get_secret_value()) < 16:
            raise ValueError("is shorter than 16 characters; make one with `openssl rand -hex 20`")
        return token


class Target(Section):
    """How actions on some services are carried out; the first that fits counts."""

    services: tuple[str, ...] = ()
    """The services; empty: all."""
    actions: tuple[str, ...] = ()
    """The types of action; empty: all that the executor can do."""
    environment: str | None = None
    """In this environment; nothing: in every one."""
    executor: str
    """kubectl, argocd, github-actions, gitlab, jenkins, http, command or flags."""
    parameters: dict[str, str] = Field(default_factory=dict)
    """What the executor needs to know, such as the namespace; docs/remediation.md names them."""

    @field_validator("actions")
    @classmethod
    def _known_actions(cls, actions: tuple[str, ...]) -> tuple[str, ...]:
        return tuple(known_action(name) for name in actions)


class ExecutionSettings(Section):
    """How actions are carried out."""

    time_limit: Duration = timedelta(seconds=60)
    """How long one command or request may take."""
    kubectl: str = "kubectl"
    """The program."""
    kubeconfig: Path | None = None
    """Its configuration; nothing: its own default."""
    commands: dict[str, tuple[str, ...]] = Field(default_factory=dict)
    """Name -> a local command that may be run, as a list of words; `{{ service }}` and its siblings are filled in."""
    programs: tuple[str, ...] = ()
    """Programs that commands of runbooks may run, such as `kubectl`; none: a person runs them."""
    hosts: tuple[str, ...] = ()
    """Private, loopback or link-local hosts that the http executor may reach all the same, as `name` or `name:port`."""
    verify_after: Duration = timedelta(minutes=10)
    """How long after an action its effect is looked at."""
    hold: Duration = timedelta(minutes=3)
    """For how long the series must have been good then."""
    rehearse: bool = True
    """Whether targets are asked for a dry run as soon as something is proposed; else when somebody looks at it."""
    keep_asking: Duration = timedelta(minutes=30)
    """For how long a source that does not answer then is asked again."""


class RemediationSettings(Section):
    """What may be proposed, and who must agree."""

    actions: dict[str, Action] = Field(default_factory=dict)
    """Type -> switch; a type that is not named is enabled and needs approval."""
    communication: Communication = Communication()
    policy: tuple[PolicyRule, ...] = ()
    """Rules of who must agree, the first that fits decides; empty: everything waits for one approval."""
    approvers: tuple[str, ...] = ()
    """Who may approve; empty: nobody is checked."""
    people: dict[str, Person] = Field(default_factory=dict)
    """Name -> how this person is recognised on the page and in Slack."""
    targets: tuple[Target, ...] = ()
    """How actions are carried out; what no target fits a person does by hand."""
    execution: ExecutionSettings = ExecutionSettings()
    shadow: bool = False
    """Diagnose and store, tell nobody."""
    resolve_after: Duration = timedelta(minutes=15)
    """An incident that is mitigated and whose alerts are silent for so long is resolved."""

    @field_validator("actions")
    @classmethod
    def _known_actions(cls, actions: dict[str, Action]) -> dict[str, Action]:
        return {known_action(name): action for name, action in actions.items()}

    def action(self, action_type: str) -> Action:
        """The switch of an action type; names with hyphens are the same."""
        return self.actions.get(action_type.replace("-", "_"), Action())


class ImpactSettings(Section):
    """What an incident's cost is measured by; without a key its part reads "not measured"."""

    users_metric: str | None = None
    """The series that counts affected users."""
    revenue_per_request: float | None = Field(default=None, gt=0)
    """What one failed request costs."""
    currency: str = "EUR"
    """Of what unit."""
    success_objective: float | None = Field(default=None, gt=0, lt=1)
    """The share of requests that must succeed, such as 0.999: minutes below it are out of objective."""
    latency_objective_ms: float | None = Field(default=None, gt=0)
    """The 99th percentile that must not be exceeded, in milliseconds: minutes above it are out of objective."""


class Documentation(Section):
    """What is written."""

    timeline: bool = True
    """Whether a timeline is kept."""
    auto_postmortem: bool = True
    """Whether a postmortem is written when the incident is resolved."""
    runbook_suggestions: bool = True
    """Whether runbooks are suggested, and updates of them proposed."""
    impact: ImpactSettings = ImpactSettings()


class Receiver(Section):
    """The webhook receiver."""

    host: str = "127.0.0.1"
    """The address it listens on; anything but this machine wants tokens."""
    port: int = Field(default=3001, ge=0, le=65535)
    """The port it listens on."""
    tokens: dict[str, SecretStr] = Field(default_factory=dict)
    """Source -> bearer token; without one only this machine may send. `metrics`: what reading `/metrics` takes."""
    max_body_bytes: int = Field(default=2_000_000, ge=1)
    """A larger body is answered 413."""


class Connection(Section):
    """How one system is reached."""

    url: str | None = None
    """Where it is; nothing: the vendor's public address."""
    token: SecretStr | None = None
    """Bearer token, as `${NAME}`."""
    app_token: SecretStr | None = None
    """Slack only: the app's own token (xapp-...), as `${NAME}`; with it, buttons come by Socket Mode."""
    username: str | None = None
    """Name for HTTP basic authentication."""
    password: SecretStr | None = None
    """Password for HTTP basic authentication, as `${NAME}`."""
    headers: dict[str, SecretStr] = Field(default_factory=dict)
    """Further headers, values as `${NAME}`."""
    ca: Path | None = None
    """A PEM file with the certificate authority to trust."""
    proxy: str | None = None
    """Address of an HTTP proxy."""
    timeout: Duration = timedelta(seconds=10)
    """How long one request may take."""
    options: dict[str, str] = Field(default_factory=dict)
    """What this system alone needs, such as the index of logs or the region; docs/connectors.md names them."""


class DeadManSwitch(Section):
    """Somebody outside who is told that the responder works, and alarms when that stops."""

    url: SecretStr | None = None
    """The address to ask, as `${NAME}`; nothing: nobody is told."""
    interval: Duration = timedelta(minutes=1)
    """How often."""


class KnowledgeBaseSettings(Section):
    """What is remembered."""

    sources: tuple[str, ...] = ()
    """Folders or files beside the starter corpus."""
    model: str = "all-MiniLM-L6-v2"
    """The model that turns text into vectors."""
    backend: Annotated[str, Field(pattern=r"^(?:embedded|lancedb(?:\+\w+)?://\S+)$")] = "embedded"
    """Where the index lives: a file below `data_dir`, or `lancedb:///srv/kb`, `lancedb+s3://bucket/kb`."""


class Scenario(Section):
    """The whole configuration: what stands below `scenario`."""

    name: str = "incident-responder"
    """What this installation calls itself."""
    version: str = "1.0.0"
    """The version of this configuration."""
    data_dir: Path = Path("data")
    """Where everything is stored."""
    templates_dir: Path = Path("templates")
    """Templates found here replace the built-in ones of the same name."""
    services_file: Path = Path("services.yaml")
    """The catalogue: services, what they depend on, who owns them."""
    inbox_url: SecretStr | None = None
    """Where alerts and claims lie when several machines share them: a PostgreSQL URL, as `${NAME}`; nothing: a file."""
    receiver: Receiver = Receiver()
    connections: dict[str, Connection] = Field(default_factory=dict)
    """Name of a system -> how it is reached."""
    alerts: Alerts = Alerts()
    context: Context = Context()
    diagnosis: DiagnosisSettings = DiagnosisSettings()
    remediation: RemediationSettings = RemediationSettings()
    documentation: Documentation = Documentation()
    knowledge_base: KnowledgeBaseSettings = KnowledgeBaseSettings()
    dead_man_switch: DeadManSwitch = DeadManSwitch()
    retention: Duration | None = None
    """How long ended incidents are kept; nothing: for ever."""
    retention_by_severity: dict[Severity, Duration] = Field(default_factory=dict)
    """Severity -> how long its incidents are kept, where that differs: `P1: 730d`."""
    archive_after: Duration = timedelta(days=30)
    """How long after its end an incident keeps a file of its own, and Dagster the history of its runs."""
    missing: SkipJsonSchema[tuple[MissingVariable, ...]] = Field(default=(), exclude=True)
    """Variables that the file names and nobody has set; filled in when the file is read, never by the file."""
