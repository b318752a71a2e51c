"""Datadog's rows: its series, log lines, deployments and changes as the models have them."""

from __future__ import annotations

import json
import math
from collections.abc import Mapping
from typing import Any

from incident_pipeline.connectors.shapes import at, items, mapping
from incident_pipeline.connectors.tags import ENVIRONMENT_TAGS, SERVICE_TAGS, first, tags_of
from incident_pipeline.incident_folder.rows import level_of
from incident_pipeline.intake.alert_fields import one_line
from incident_pipeline.json_text import clean
from incident_pipeline.models import Deployment, FlagChange, LogEntry, MetricSeries
from incident_pipeline.moments import parse_moment

LONGEST_VALUE = 500


def timeseries_v2(series: list[Any], body: Mapping[str, Any]) -> list[dict[str, Any]]:
    """The series of a v2 answer as `{tags, unit, points}`."""
    times = items(at(body, "data", "attributes", "times"))
    values = items(at(body, "data", "attributes", "values"))
    return [
        {"tags": at(one, "group_tags"), "unit": at(one, "unit"), "points": list(zip(times, items(row), strict=False))}
        for one, row in zip(series, values, strict=False)
    ]


def timeseries_v1(series: list[Any]) -> list[dict[str, Any]]:
    """The series of a v1 answer as `{tags, unit, points}`."""
    return [
        {
            "tags": at(one, "tag_set") or [part for part in str(at(one, "scope") or "").split(",") if ":" in part],
            "unit": at(one, "unit"),
            "points": items(at(one, "pointlist")),
        }
        for one in series
    ]


def log_entry(item: Mapping[str, Any]) -> LogEntry:
    """One log event."""
    about = item["attributes"]
    tags = tags_of(about.get("tags"))
    attributes = dict(mapping(about.get("attributes")))
    return LogEntry(
        timestamp=parse_moment(about["timestamp"]),
        service=one_line(about.get("service")) or first(tags, SERVICE_TAGS),
        level=level_of(about.get("status")),
        message=clean(str(about.get("message") or attributes.get("msg") or "")),
        attributes={**attributes, "tags": tags, "host": about.get("host"), "id": item.get("id")},
    )


def metric_series(item: Mapping[str, Any], name: str, service: str | None, source: str) -> MetricSeries | None:
    """One series; None where it has no points."""
    labels = tags_of(item["tags"])
    points = [(float(at) / 1000, math.nan if value is None else float(value)) for at, value in item["points"]]
    if not points:
        return None
    units = [unit for unit in items(item.get("unit")) if isinstance(unit, Mapping)]
    named = first(labels, SERVICE_TAGS)
    return MetricSeries(
        name=name,
        service=named or service,
        labels={key: value for key, value in labels.items() if not (key in SERVICE_TAGS and value == named)},
        unit="/".join(str(unit.get("name")) for unit in units) or None,
        source=source,
        timestamps=tuple(at for at, _ in points),
        values=tuple(value for _, value in points),
    )


def deployment(item: Mapping[str, Any]) -> Deployment:
    """A deployment that was reported to DORA Metrics."""
    about = item["attributes"]
    return Deployment(
        id=str(item["id"]),
        service=one_line(about["service"]),
        environment=one_line(about.get("env")),
        version=one_line(about.get("version")),
        status="success",
        started_at=parse_moment(about["started_at"]),
        finished_at=parse_moment(about["finished_at"]),
        commit_sha=one_line(at(about, "git", "commit_sha")),
        source="datadog",
        attributes={
            **tags_of(about.get("custom_tags")),
            **{name: about[name] for name in ("team",) if about.get(name)},
            **({"repository": repository} if (repository := at(about, "git", "repository_id")) else {}),
        },
    )


def configuration_change(item: Mapping[str, Any]) -> Deployment | None:
    """A change event of a configuration, as something that was brought into production; None for any other event."""
    about = _change(item, "configuration")
    if about is None:
        return None
    moment = parse_moment(at(item, "attributes", "timestamp"))
    return Deployment(
        id=str(item["id"]),
        service=_impacted(item, about),
        environment=first(_tags(item), ENVIRONMENT_TAGS),
        status="success",
        strategy="configuration",
        started_at=moment,
        finished_at=moment,
        actor=one_line(at(about, "author", "name")),
        source="datadog",
        attributes={
            "summary": one_line(about.get("title")) or "",
            "configuration": one_line(at(about, "changed_resource", "name")),
            "value": _value(about.get("new_value")),
            "previous_value": _value(about.get("prev_value")),
        },
    )


def flag_change(item: Mapping[str, Any]) -> FlagChange | None:
    """A change event of a feature flag; None for any other event."""
    about = _change(item, "feature_flag")
    if about is None:
        return None
    return FlagChange(
        name=str(at(about, "changed_resource", "name")),
        service=_impacted(item, about),
        value=_value(about.get("new_value")),
        previous_value=_value(about.get("prev_value")),
        changed_at=parse_moment(at(item, "attributes", "timestamp")),
        actor=one_line(at(about, "author", "name")),
        attributes={"id": item.get("id"), "summary": one_line(about.get("title")) or ""},
    )


def _change(item: Mapping[str, Any], kind: str) -> Mapping[str, Any] | None:
    about = mapping(at(item, "attributes", "attributes"))
    return about if at(about, "changed_resource", "type") == kind and at(about, "changed_resource", "name") else None


def _impacted(item: Mapping[str, Any], about: Mapping[str, Any]) -> str | None:
    impacted = [one for one in items(about.get("impacted_resources")) if at(one, "type") == "service"]
    named = [*(one_line(at(one, "name")) for one in impacted), one_line(about.get("service"))]
    return next((name for name in named if name), None) or first(_tags(item), SERVICE_TAGS)


def _tags(item: Mapping[str, Any]) -> dict[str, str]:
    return tags_of(at(item, "attributes", "tags"))


def _value(value: Any) -> str | None:
    """A state as text: flags are `on` and `off`, or an object of their own."""
    if value in (None, {}):
        return None
    text = value if isinstance(value, str) else json.dumps(value, sort_keys=True, ensure_ascii=False)
    return clean(text)[:LONGEST_VALUE]
