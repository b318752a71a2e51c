"""The configuration: what `incident.yaml` may say, with every default.

Belongs here: the shape of the configuration, as frozen models. Reading the file and filling in `${NAME}` is in
`config_file.py`; what `config check` says of each key is in `config_report.py`.
"""

from __future__ import annotations

from datetime import timedelta
from pathlib import Path
from typing import Any, Literal

from pydantic import BaseModel, ConfigDict, Field, SecretStr

from incident_pipeline.durations import Duration
from incident_pipeline.models import Category


class Section(BaseModel):
    """A part of the configuration; unknown keys are errors."""

    model_config = ConfigDict(frozen=True, extra="forbid", use_attribute_docstrings=True)


class AlertSource(Section):
    """One system that alerts come from."""

    enabled: bool = True
    """Whether alerts of this source are taken."""
    api_key: SecretStr | None = None
    app_key: SecretStr | None = None
    token: SecretStr | None = None
    channel: str | None = None
    poll_interval: Duration = timedelta(seconds=30)
    """How often a source with an API key and no webhook is asked."""
    mapping: dict[str, str] = Field(default_factory=dict)
    """For webhooks of any shape: alert field -> JMESPath expression on the body."""


class MaintenanceWindow(Section):
    """A planned time in which alerts of some services start no run."""

    services: tuple[str, ...] = ()
    """Empty: all services."""
    environment: str | None = None
    start: str
    end: str
    reason: str


class Grouping(Section):
    """How alerts become incidents."""

    window: Duration = timedelta(minutes=10)
    """Alerts of one service, or of services that depend on each other, within this time are one incident."""
    flap_window: Duration = timedelta(minutes=30)
    """An alert that fires again this soon after its incident was resolved opens it again."""


class Alerts(Section):
    """Where alerts come from and how they are grouped."""

    sources: dict[str, AlertSource] = Field(default_factory=dict)
    grouping: Grouping = Grouping()
    maintenance: tuple[MaintenanceWindow, ...] = ()


class DeploymentContext(Section):
    """Recent deployments."""

    sources: tuple[str, ...] = ()
    lookback: Duration = timedelta(hours=24)
    deadline: Duration = timedelta(seconds=8)
    projects: dict[str, tuple[str, ...]] = Field(default_factory=dict)
    """Service -> its repositories, applications or jobs."""


class CodeContext(Section):
    """Recent code changes."""

    sources: tuple[str, ...] = ()
    lookback: Duration = timedelta(hours=48)
    deadline: Duration = timedelta(seconds=8)
    focus_areas: tuple[str, ...] = ()
    """Areas that weigh more: config, database, api, dependencies, or a path."""
    repositories: dict[str, tuple[str, ...]] = Field(default_factory=dict)
    """Service -> paths or URLs of its repositories; `*` for all services."""


class MetricContext(Section):
    """Metrics."""

    provider: str | None = None
    queries: dict[str, str] = Field(default_factory=dict)
    """Name -> query; `$service` and `$environment` are filled in for each incident."""
    lookback: Duration = timedelta(hours=4)
    deadline: Duration = timedelta(seconds=8)


class LogContext(Section):
    """Logs."""

    provider: str | None = None
    lookback: Duration = timedelta(hours=2)
    max_entries: int = Field(default=1000, ge=1)
    focus_patterns: tuple[str, ...] = ()
    """Lines that match one of these (case-insensitive text) weigh more."""
    deadline: Duration = timedelta(seconds=8)


class SourcesContext(Section):
    """Evidence that is only read where a source of it is named."""

    sources: tuple[str, ...] = ()
    lookback: Duration = timedelta(hours=4)
    deadline: Duration = timedelta(seconds=8)


class HistoryContext(Section):
    """Similar incidents of the past."""

    similar_lookback: Duration = timedelta(days=90)
    correlation_threshold: float = Field(default=0.7, ge=0, le=1)
    """A past incident below this similarity is not similar."""


class Context(Section):
    """What is gathered about an incident."""

    deployments: DeploymentContext = DeploymentContext()
    code: CodeContext = CodeContext()
    flags: SourcesContext = SourcesContext(lookback=timedelta(hours=24))
    metrics: MetricContext = MetricContext()
    logs: LogContext = LogContext()
    traces: SourcesContext = SourcesContext()
    related_alerts: SourcesContext = SourcesContext()
    history: HistoryContext = HistoryContext()


class Approaches(Section):
    """Each approach of the diagnosis, with its switch."""

    log_pattern_analysis: bool = True
    metric_correlation: bool = True
    change_correlation: bool = True
    similar_incident_match: bool = True


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
    require_approval: bool = True


class Communication(Section):
    """Who is told."""

    slack_channel: str | None = None
    status_page: bool = False
    stakeholder_notify: bool = False


class RemediationSettings(Section):
    """What may be proposed, and who must agree."""

    actions: dict[str, Action] = Field(default_factory=dict)
    """Type -> switch; a type that is not named is enabled and needs approval."""
    communication: Communication = Communication()
    policy: tuple[dict[str, Any], ...] = ()
    approvers: tuple[str, ...] = ()
    shadow: bool = False
    """Diagnose and store, tell nobody."""

    def action(self, action_type: str) -> Action:
        """The switch of an action type; names with hyphens are the same."""
        named = {name.replace("-", "_"): action for name, action in self.actions.items()}
        return named.get(action_type.replace("-", "_"), Action())


class Documentation(Section):
    """What is written."""

    timeline: bool = True
    auto_postmortem: bool = True
    runbook_suggestions: bool = True


class Receiver(Section):
    """The webhook receiver."""

    host: str = "127.0.0.1"
    port: int = Field(default=3001, ge=0, le=65535)
    tokens: dict[str, SecretStr] = Field(default_factory=dict)
    """Source -> bearer token; without any token only this machine may send."""
    max_body_bytes: int = Field(default=2_000_000, ge=1)


class Connection(Section):
    """How one system is reached."""

    url: str | None = None
    token: SecretStr | None = None
    username: str | None = None
    password: SecretStr | None = None
    headers: dict[str, SecretStr] = Field(default_factory=dict)
    ca: Path | None = None
    """A PEM file with the certificate authority to trust."""
    proxy: str | None = None
    timeout: Duration = timedelta(seconds=10)


class KnowledgeBaseSettings(Section):
    """What is remembered."""

    sources: tuple[str, ...] = ()
    """Folders or files beside the starter corpus."""
    model: str = "all-MiniLM-L6-v2"
    backend: Literal["embedded"] | str = "embedded"


class Scenario(Section):
    """The whole configuration: what stands below `scenario`."""

    name: str = "incident-responder"
    version: str = "1.0.0"
    data_dir: Path = Path("data")
    templates_dir: Path = Path("templates")
    services_file: Path = Path("services.yaml")
    receiver: Receiver = Receiver()
    connections: dict[str, Connection] = Field(default_factory=dict)
    alerts: Alerts = Alerts()
    context: Context = Context()
    diagnosis: DiagnosisSettings = DiagnosisSettings()
    remediation: RemediationSettings = RemediationSettings()
    documentation: Documentation = Documentation()
    knowledge_base: KnowledgeBaseSettings = KnowledgeBaseSettings()
    retention: Duration | None = None
    archive_after: Duration = timedelta(days=30)
