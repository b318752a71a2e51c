"""The service catalogue: which services there are, who calls whom, who owns them.

Belongs here: reading `services.json` and `services.yaml` in the shapes they occur in.
"""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any

from incident_pipeline.errors import ConfigurationError
from incident_pipeline.intake.alert_fields import one_line
from incident_pipeline.models import Service

_ANNOTATIONS = (
    *("backstage.io/kubernetes-id", "github.com/project-slug", "gitlab.com/project-slug", "pagerduty.com/service-id"),
    *("argocd/app-name", "opsgenie.com/component-selector", "jenkins.io/job-full-name", "datadoghq.com/service-name"),
    *("prometheus.io/service-name", "app.kubernetes.io/name"),
)
"""Of a Backstage entity: what other systems call it."""


def service_from(row: Any) -> Service:
    """One service from a name or a mapping.

    Raises:
        ValueError: it has no name.
    """
    fields = row if isinstance(row, Mapping) else {"name": row}
    name = one_line(fields.get("name"))
    if name is None:
        raise ValueError("name: missing")
    return Service(
        name=name,
        depends_on=_names(fields.get("depends_on") or fields.get("dependencies")),
        owner=one_line(fields.get("owner") or fields.get("team")),
        tier=one_line(fields.get("tier")),
        aliases=_names(fields.get("aliases")),
        namespace=one_line(fields.get("namespace")),
        cluster=one_line(fields.get("cluster")),
    )


def service_rows(data: Any) -> list[Any]:
    """The rows of a catalogue: a list, `{services: ...}`, or `{name: {depends_on: [...]}}` or `{name: [...]}`.

    Raises:
        ValueError: it is none of these.
    """
    if isinstance(data, Mapping) and "services" in data:
        data = data["services"]
    if isinstance(data, Mapping):
        if "name" in data and isinstance(data["name"], str):
            return [data]
        return [
            {"name": name, **(about if isinstance(about, Mapping) else {"depends_on": about})}
            for name, about in data.items()
        ]
    if isinstance(data, list):
        return data
    raise ValueError("expected a list of services, each with name and depends_on")


def load_catalogue(path: Path) -> tuple[Service, ...]:
    """The services of a `services.yaml`, or of a Backstage catalogue file; none where the file does not exist.

    Raises:
        ConfigurationError: it is there and cannot be read.
    """
    import yaml

    if not path.exists():
        return ()
    try:
        documents = [one for one in yaml.safe_load_all(path.read_text(encoding="utf-8-sig")) if one]
        if any(_is_backstage(one) for one in documents):
            return tuple(backstage_service(one) for one in documents if _is_backstage(one))
        return tuple(service_from(row) for one in documents for row in service_rows(one))
    except (OSError, ValueError, yaml.YAMLError) as error:
        reason = " ".join(str(error).split())[:300]
        raise ConfigurationError(f"{path}: the service catalogue cannot be read: {reason}") from error


def backstage_service(entity: Mapping[str, Any]) -> Service:
    """One Component of a Backstage catalogue (`catalog-info.yaml`).

    Raises:
        ValueError: it has no name.
    """
    metadata = _mapping(entity.get("metadata"))
    spec = _mapping(entity.get("spec"))
    annotations = _mapping(metadata.get("annotations"))
    aliases = [annotations.get(name) for name in _ANNOTATIONS] + [metadata.get("title")]
    wanted = [*_names(spec.get("dependsOn")), *_names(spec.get("consumesApis"))]
    return service_from(
        {
            "name": metadata.get("name"),
            "depends_on": [name.rpartition(":")[2].rpartition("/")[2] for name in wanted],
            "owner": str(spec.get("owner") or "").rpartition(":")[2].rpartition("/")[2],
            "tier": spec.get("tier") or _mapping(metadata.get("labels")).get("tier"),
            "namespace": annotations.get("backstage.io/kubernetes-namespace"),
            "cluster": annotations.get("backstage.io/kubernetes-cluster"),
            "aliases": [alias for alias in aliases if alias and alias != metadata.get("name")],
        }
    )


def _is_backstage(document: Any) -> bool:
    return isinstance(document, Mapping) and document.get("kind") == "Component" and "metadata" in document


def _mapping(value: Any) -> Mapping[str, Any]:
    return value if isinstance(value, Mapping) else {}


def _names(value: Any) -> tuple[str, ...]:
    if value is None:
        return ()
    items = value if isinstance(value, list | tuple) else [value]
    names = (one_line(item.get("name") if isinstance(item, Mapping) else item) for item in items)
    return tuple(dict.fromkeys(name for name in names if name))
