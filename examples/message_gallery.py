"""Ten incidents of different kinds as people read them: in Slack, as Markdown, as HTML.

`python -m examples.message_gallery FOLDER` writes one page for each and an index; look at them after a change to what
is said. They are made up, one of them from hostile text.
"""

from __future__ import annotations

import sys
from collections.abc import Mapping
from datetime import UTC, datetime, timedelta
from html import escape
from pathlib import Path
from types import MappingProxyType
from typing import Any, NamedTuple

from examples.slack_preview import STYLE, message
from incident_pipeline.communication.slack_message import Known, header_message, reply
from incident_pipeline.communication.status import status_update
from incident_pipeline.config import Scenario
from incident_pipeline.documents.html import html
from incident_pipeline.documents.timeline import build_timeline
from incident_pipeline.models import (
    ActionState,
    Alert,
    CausedBy,
    Deployment,
    Diagnosis,
    Envelope,
    Evidence,
    EvidenceKind,
    Gap,
    Gathered,
    Hypothesis,
    Incident,
    Service,
    Symptoms,
)
from incident_pipeline.remediation.plan import plan_remediation

START = datetime(2026, 3, 17, 14, 35, tzinfo=UTC)
ONSET = START - timedelta(minutes=3)


class Scene(NamedTuple):
    """One incident: its alert, its likeliest cause, and what has become of it."""

    name: str
    title: str
    summary: str
    service: str
    severity: str
    cause: dict[str, Any] | None
    status: str = "investigating"
    decided: Mapping[int, ActionState] = MappingProxyType({})
    more: Mapping[str, Any] = MappingProxyType({})
    deployment: str | None = None


def _cause(category: str, description: str, confidence: float, *evidence: str, **more: Any) -> dict[str, Any]:
    fields = {"category": category, "description": description, "confidence": confidence, "evidence": evidence}
    return {"approach": "gallery", **fields, **more}


HOSTILE = "<!channel> *free* [prize](http://evil.example) `rm -rf /` <script>alert(1)</script> {{ 7*7 }} \x1b[31mred"
SCENES = (
    Scene(
        "deployment",
        "Payment Processing Errors",
        "Payment API returning 500 errors for ~15% of requests",
        "payments",
        "P1",
        _cause(
            "deployment_issue",
            "Recent deployment (deploy-abc123)",
            0.91,
            "Errors concentrated in code that it changes",
            caused_by=CausedBy(kind="deployment", id="deploy-abc123"),
        ),
        deployment="deploy-abc123",
    ),
    Scene(
        "approved",
        "Checkout latency above 2 s",
        "p99 of POST /orders is 4.1 s",
        "checkout",
        "P2",
        _cause(
            "deployment_issue",
            "Recent deployment (deploy-77)",
            0.84,
            "Latency rose 2 minutes after the release",
            caused_by=CausedBy(kind="deployment", id="deploy-77"),
        ),
        decided={0: ActionState.APPROVED},
        more={"acknowledged_at": START + timedelta(minutes=4)},
        deployment="deploy-77",
    ),
    Scene(
        "capacity",
        "Search is slow",
        "CPU of search above 95% for 10 minutes",
        "search",
        "P2",
        _cause(
            "capacity_problem",
            "search has too few replicas for its load",
            0.72,
            "CPU at 97% on all replicas",
            "Requests grew from 210 to 480 a second",
            service="search",
            mechanism="cpu_saturation",
        ),
    ),
    Scene(
        "dependency",
        "Orders cannot be placed",
        "Timeouts from orders to inventory",
        "orders",
        "P1",
        _cause(
            "dependency_failure",
            "inventory does not answer orders",
            0.66,
            "92% of the failing traces end in inventory",
            service="inventory",
            mechanism="dependency_timeout",
        ),
    ),
    Scene(
        "certificate",
        "TLS handshake errors at the gateway",
        "Clients cannot connect: certificate has expired",
        "gateway",
        "P1",
        _cause(
            "configuration_error",
            "The certificate of gateway has expired",
            0.95,
            "x509: certificate has expired, 4,210 lines like this",
            service="gateway",
            mechanism="certificate_expired",
        ),
    ),
    Scene(
        "flag",
        "Recommendations fail",
        "Error ratio of recommendations 31%",
        "recommendations",
        "P3",
        _cause(
            "configuration_error",
            "Feature flag new_ranking was turned on",
            0.88,
            "Errors began 1 minute after the flag was turned",
            caused_by=CausedBy(kind="flag", id="new_ranking"),
            service="recommendations",
        ),
    ),
    Scene(
        "outside",
        "SMS are not delivered",
        "Provider answers 503",
        "notifications",
        "P2",
        _cause(
            "external_factor",
            "The SMS provider is down",
            0.58,
            "POST https://api.sms-provider.example/v1/send answered 503",
            service="notifications",
            mechanism="third_party_outage",
        ),
    ),
    Scene("unknown", "Error budget burns fast", "Burn rate 14 of catalog", "catalog", "P3", None),
    Scene(
        "resolved",
        "Disk of ledger-db almost full",
        "4% left on /var/lib/postgresql",
        "ledger-db",
        "P2",
        _cause(
            "capacity_problem",
            "The disk of ledger-db fills with archived logs",
            0.79,
            "Free space fell by 2 GB an hour since 09:10 UTC",
            service="ledger-db",
            mechanism="disk_full",
        ),
        status="resolved",
        decided={0: ActionState.DONE},
        more={"acknowledged_at": START + timedelta(minutes=2), "resolved_at": START + timedelta(minutes=41)},
    ),
    Scene(
        "hostile",
        HOSTILE,
        HOSTILE,
        "pay`ments*",
        "P1",
        _cause("code_bug", f"A log line says {HOSTILE}", 0.51, f"Log: {HOSTILE}", service="payments"),
    ),
)


def texts(scene: Scene) -> tuple[dict[str, Any], str]:
    """The message that stands for the incident, and its status update as Markdown."""
    incident, evidence, diagnosis = _incident(scene), _evidence(scene), _diagnosis(scene)
    symptoms = Symptoms(onset=ONSET, first_failing_service=scene.service)
    plan = plan_remediation(incident, evidence, diagnosis, (), Scenario())
    actions = tuple(
        action.model_copy(update={"state": scene.decided.get(number, action.state)})
        for number, action in enumerate(plan.actions)
    )
    plan = plan.model_copy(update={"actions": actions})
    at = START + timedelta(minutes=1)
    timeline = build_timeline(incident, evidence, symptoms, diagnosis, responded_at=at, diagnosed_at=at)
    as_of = incident.resolved_at or START + timedelta(minutes=20)
    update = status_update(incident, evidence, symptoms, diagnosis, plan, timeline, as_of=as_of, templates=None)
    who = {action.action_id: "dana" for action in actions if action.state is not ActionState.PROPOSED}
    known = Known(incident, diagnosis, symptoms, actions, acknowledged_by="jo", resolved_by="jo", decided_by=who)
    return header_message(known, None), update.markdown


def page(scene: Scene) -> str:
    """The three forms side by side."""
    header, markdown = texts(scene)
    columns = (
        ("Slack", message(header) + message(reply(markdown, "status update"), reply=True)),
        ("Markdown", f"<pre>{escape(markdown)}</pre>"),
        ("HTML", f'<div class="html">{html(markdown)}</div>'),
    )
    cells = "".join(f"<section><h2>{name}</h2>{content}</section>" for name, content in columns)
    return _FRAME.format(style=STYLE, title=escape(scene.name), cells=cells)


_FRAME = """<!doctype html><meta charset="utf-8"><title>{title}</title><style>{style}
body{{font:14px/1.5 "DejaVu Sans","Noto Color Emoji",sans-serif;margin:16px;background:#f4f4f6}}
main{{display:grid;grid-template-columns:600px 520px 520px;gap:18px;align-items:start}}
h2{{font-size:13px;text-transform:uppercase;letter-spacing:.05em;color:#555}}
pre{{white-space:pre-wrap;overflow-wrap:anywhere;font:12px/1.5 "DejaVu Sans Mono",monospace}}
pre{{background:#fff;border:1px solid #ddd;border-radius:8px;padding:14px}}
.html{{background:#fff;border:1px solid #ddd;border-radius:8px;padding:4px 18px;overflow-wrap:anywhere}}
</style><main>{cells}</main>"""


def _incident(scene: Scene) -> Incident:
    alert = Alert(
        source="alertmanager",
        source_id="a",
        dedup_key="a",
        title=scene.title,
        summary=scene.summary,
        severity=scene.severity,
        service=scene.service,
        environment="production",
        started_at=START,
    )
    return Incident(
        incident_id=f"INC-20260317-143500-{scene.name}-4f2a",
        title=scene.title,
        status=scene.status,
        severity=scene.severity,
        services=(scene.service,),
        environment="production",
        alerts=(alert,),
        started_at=START,
        **scene.more,
    )


def _evidence(scene: Scene) -> Evidence:
    rows: dict[str, list[Any]] = {"service_graph": [Service(name=scene.service, owner=f"{scene.service}-team")]}
    if scene.deployment:
        release = Deployment(
            id=scene.deployment,
            service=scene.service,
            version="v2.3.5",
            previous_version="v2.3.4",
            status="success",
            finished_at=ONSET - timedelta(minutes=4),
        )
        rows["deployments"] = [release]
    return Evidence.model_validate(
        {
            kind: Gathered(kind=EvidenceKind(kind), envelopes=(Envelope.of("gallery", values),))
            for kind, values in rows.items()
        }
    )


def _diagnosis(scene: Scene) -> Diagnosis:
    found = (Hypothesis.model_validate({"service": scene.service, **scene.cause}),) if scene.cause else ()
    gaps = () if scene.cause else (Gap(kind="logs", source="loki", reason="did not answer within 8 s"),)
    return Diagnosis(summary=scene.title, hypotheses=found, onset=ONSET, gaps=gaps)


def main(folder: Path) -> None:
    """Write the pages."""
    folder.mkdir(parents=True, exist_ok=True)
    for scene in SCENES:
        (folder / f"{scene.name}.html").write_text(page(scene), encoding="utf-8")
    links = "".join(f'<li><a href="{scene.name}.html">{escape(scene.name)}</a>' for scene in SCENES)
    (folder / "index.html").write_text(f"<!doctype html><meta charset=utf-8><ul>{links}</ul>", encoding="utf-8")


if __name__ == "__main__":
    main(Path(sys.argv[1]))
