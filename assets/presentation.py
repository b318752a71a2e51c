"""How values look in the Dagster UI: tables, Markdown and plots that a person would rather see than read."""

from __future__ import annotations

import base64
from collections.abc import Sequence
from typing import Any

import dagster as dg

from assets.results import METADATA_LIMIT, markdown
from incident_pipeline.documents.escape import code
from incident_pipeline.documents.escape import markdown as escape_markdown
from incident_pipeline.documents.propagation_plot import plot_propagation
from incident_pipeline.documents.timeline_plot import plot_timeline
from incident_pipeline.knowledge.health import Health
from incident_pipeline.models import (
    Alert,
    Diagnosis,
    Evidence,
    Gathered,
    Hypothesis,
    Incident,
    Model,
    Remediation,
    RemediationAction,
    SimilarIncident,
    SuggestedRunbook,
    Symptoms,
    Timeline,
)
from incident_pipeline.remediation.records import ExecutedAction
from incident_pipeline.storage.inbox.executions import Rehearsal

ROWS_SHOWN = 20
TEXT_SHOWN = 200

Facts = dict[str, Any]


def table(rows: Sequence[dict[str, Any]]) -> dg.MarkdownMetadataValue:
    """A Markdown table of the first rows; every cell is escaped and cut."""
    if not rows:
        return markdown("none")
    columns = list(rows[0])
    lines = ["| " + " | ".join(columns) + " |", "|" + " --- |" * len(columns)]
    lines += ["| " + " | ".join(_cell(row.get(column)) for column in columns) + " |" for row in rows[:ROWS_SHOWN]]
    if len(rows) > ROWS_SHOWN:
        lines.append(f"\n{len(rows) - ROWS_SHOWN} more")
    return markdown("\n".join(lines))


def alert_table(alerts: Sequence[Alert]) -> dg.MarkdownMetadataValue:
    """The alerts of an incident."""
    return table([_only(alert, "started_at", "severity", "status", "service", "title", "source") for alert in alerts])


def incident_facts(incident: Incident) -> Facts:
    """What the incident is about."""
    return {
        "title": incident.title[:TEXT_SHOWN],
        "severity": incident.severity.value,
        "status": incident.status.value,
        "services": ", ".join(incident.services) or "unknown",
        "started": incident.started_at.isoformat(),
        "alert count": len(incident.alerts),
    }


def evidence_facts(gathered: Gathered[Any]) -> Facts:
    """What was asked, what was answered, and the first rows."""
    asked = [
        {
            "source": envelope.source,
            "status": envelope.status.value,
            "rows": len(envelope.rows),
            "seconds": None if envelope.seconds is None else round(envelope.seconds, 3),
            "query": envelope.query,
            "error": envelope.error,
        }
        for envelope in gathered.envelopes
    ]
    shown = [_scalars(row) for row in gathered.rows[:ROWS_SHOWN]]
    return {"row count": len(gathered.rows), "sources": table(asked), "first rows": table(shown)}


def symptom_facts(symptoms: Symptoms) -> Facts:
    """What moved, and the log patterns."""
    return {
        "onset": symptoms.onset.isoformat() if symptoms.onset else "not found",
        "first failing service": symptoms.first_failing_service or "unknown",
        "log patterns": table(
            [_only(p, "count", "count_before", "service", "level", "template") for p in symptoms.log_patterns]
        ),
        "anomalous series": table(
            [_only(a, "onset", "service", "series", "kind", "before", "after") for a in symptoms.anomalies]
        ),
    }


PICTURE_LIMIT = METADATA_LIMIT * 3 // 4 - 200


def overview_facts(incident: Incident, evidence: Evidence, symptoms: Symptoms, diagnosis: Diagnosis) -> Facts:
    """What one looks at first: what moved, with onset and deployments, how it spread, and what is believed."""
    facts: Facts = {"summary": markdown(escape_markdown(diagnosis.summary))}
    first, suffering = diagnosis.first_failing_service, diagnosis.blast_radius
    for name, says, picture in (
        ("plot", "what moved, and when", plot_timeline(incident, evidence, symptoms, PICTURE_LIMIT)),
        (
            "propagation",
            "how the problem spread",
            plot_propagation(evidence, symptoms, first, suffering, incident.services, PICTURE_LIMIT),
        ),
    ):
        if picture is not None:
            encoded = base64.b64encode(picture).decode()
            facts[name] = dg.MetadataValue.md(f"![{says}](data:image/svg+xml;base64,{encoded})")
    return facts


def hypothesis_facts(hypotheses: Sequence[Hypothesis], switched_on: bool = True) -> Facts:
    """The hypotheses of one approach."""
    if not switched_on:
        return {"hypotheses": "this approach is switched off in the configuration"}
    rows = [_only(h, "confidence", "category", "service", "description") for h in hypotheses]
    return {"count": len(hypotheses), "hypotheses": table(rows)}


def diagnosis_facts(diagnosis: Diagnosis) -> Facts:
    """The ranking, and what speaks for the first."""
    evidence = "\n".join(
        f"- {escape_markdown(line)}" for line in (diagnosis.primary.evidence if diagnosis.primary else ())
    )
    return {
        "summary": diagnosis.summary[:TEXT_SHOWN],
        "confidence": diagnosis.primary.confidence if diagnosis.primary else 0.0,
        "hypotheses": hypothesis_facts(diagnosis.hypotheses)["hypotheses"],
        "evidence": markdown(evidence or "none"),
        "gaps": table([_only(gap, "kind", "source", "reason", "could_have_told") for gap in diagnosis.gaps]),
    }


def remediation_facts(plan: Remediation) -> Facts:
    """The proposed actions, and who is told what."""
    facts: Facts = {
        "actions": table([_only(a, "type", "title", "risk", "requires_approval", "command") for a in plan.actions])
    }
    if plan.communication_plan:
        columns = ("audience", "channel", "message", "next_update_due")
        facts["communication plan"] = table([_only(step, *columns) for step in plan.communication_plan])
    return facts


def executed_facts(done: Sequence[ExecutedAction]) -> Facts:
    """What was carried out, and what the target said."""
    said = "\n\n".join(f"{escape_markdown(one.title)}: {code(one.output)}" for one in done if one.output)
    columns = ("title", "state", "approved_by", "began_at", "finished_at", "reason", "verification")
    rows = [{**_only(one, *columns), "approved by": ", ".join(one.approved_by)} for one in done]
    return {"actions": table(rows), "output": markdown(said or "none")}


def rehearsal_facts(found: Sequence[tuple[RemediationAction, Rehearsal]]) -> Facts:
    """What would be done, and what the targets said to a dry run of it."""
    if not found:
        return {"dry runs": "nothing is proposed that a configured target would carry out"}
    said = "\n\n".join(f"{escape_markdown(action.title)}: {code(dry.output)}" for action, dry in found)
    return {"dry runs": markdown(said), "refused": sum(not dry.succeeded for _, dry in found)}


def timeline_table(timeline: Timeline) -> dg.MarkdownMetadataValue:
    """The timeline, oldest first."""
    return table([_only(entry, "at", "text", "source") for entry in timeline.entries])


def similar_table(similar: Sequence[SimilarIncident]) -> dg.MarkdownMetadataValue:
    """Past incidents that look like this one, and why."""
    rows = [
        {**_only(s, "incident_id", "similarity", "title", "cause", "fixed_by"), "why": "; ".join(s.why)}
        for s in similar
    ]
    return table(rows)


def runbook_table(runbooks: Sequence[SuggestedRunbook]) -> dg.MarkdownMetadataValue:
    """Runbooks that may apply, and why."""
    return table([_only(r, "runbook_id", "title", "score", "why") for r in runbooks])


def _only(model: Model, *fields: str) -> dict[str, Any]:
    return {field.replace("_", " "): getattr(model, field) for field in fields}


def _scalars(model: Model) -> dict[str, Any]:
    return {k: v for k, v in model.model_dump(mode="json").items() if v is None or isinstance(v, str | int | float)}


def _cell(value: Any) -> str:
    text = f"{value:.4g}" if isinstance(value, float) else "" if value is None else str(value)
    return escape_markdown(text[:TEXT_SHOWN]).replace("|", "\\|").replace("\n", " ")


def health_facts(health: Health) -> Facts:
    """What the knowledge base lacks and how good its answers are; numbers, so that they are drawn over time."""
    lacks = health.coverage
    facts: Facts = {
        "services without a runbook": len(lacks.without_runbook),
        "runbooks never matched": len(lacks.never_matched),
        "stale commands": len(lacks.stale),
        "without a runbook": table([{"service": service} for service in lacks.without_runbook]),
        "never matched": table([{"runbook": runbook} for runbook in lacks.never_matched]),
        "stale": table([stale._asdict() for stale in lacks.stale]),
        "starter questions right at once": health.starter.recall[1],
        "starter questions right among five": health.starter.recall[5],
        "starter questions calibration error": health.starter.calibration_error,
        "suggestions called useful": health.useful,
        "suggestions rejected": health.rejected,
    }
    if health.judged is not None:
        facts |= {"useful one first": health.judged.recall[1], "useful one among five": health.judged.recall[5]}
    return facts
