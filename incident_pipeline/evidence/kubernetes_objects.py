"""Objects of a Kubernetes cluster as rows of evidence.

Belongs here: what of an object is kept, and back to the form of `kubectl get -o json`. Values of secrets never come in.
Does not belong here: asking a cluster (the connector), understanding one (`diagnosis/kubernetes`).
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from datetime import datetime
from typing import Any

from incident_pipeline.intake.alert_fields import one_line
from incident_pipeline.models import KubernetesObject
from incident_pipeline.moments import format_moment

_LONGEST_ANNOTATION = 2_000
_NOISE = ("managedFields", "uid", "resourceVersion", "selfLink", "generation")
_DROPPED_ANNOTATIONS = ("kubectl.kubernetes.io/last-applied-configuration",)


def kubernetes_object(
    item: Any, *, captured_at: datetime | None = None, cluster: str | None = None
) -> KubernetesObject:
    """One object as `kubectl get -o json` gives it, without bookkeeping and without values of secrets.

    Raises:
        ValueError: it is no object, or has neither kind nor name.
    """
    if not isinstance(item, Mapping):
        raise ValueError("not a JSON object")
    metadata = item.get("metadata")
    about = metadata if isinstance(metadata, Mapping) else {}
    kind, name = _word(item.get("kind")), _word(about.get("name"))
    if kind is None or name is None:
        raise ValueError("kind: missing" if kind is None else "metadata.name: missing")
    body = {str(key): value for key, value in item.items()}
    body["metadata"] = _metadata(about)
    if kind == "Secret":
        body |= {field: _keys_only(body[field]) for field in ("data", "stringData") if field in body}
    return KubernetesObject(
        kind=kind,
        name=name,
        namespace=_word(about.get("namespace")),
        cluster=cluster,
        captured_at=captured_at,
        body=body,
    )


def _word(value: Any) -> str | None:
    """A name; one that is what names are is taken as it is, for a snapshot has thousands."""
    if isinstance(value, str) and 0 < len(value) < 254 and value.isascii() and value.isprintable() and " " not in value:
        return value
    return one_line(value, 300)


def snapshot_of(objects: Iterable[KubernetesObject]) -> dict[str, Any]:
    """The content of `kubernetes.json`: `captured_at` and the objects."""
    found = list(objects)
    moments = [one.captured_at for one in found if one.captured_at is not None]
    captured = {"captured_at": format_moment(max(moments))} if moments else {}
    return {**captured, "items": [one.body for one in found]}


def _metadata(about: Mapping[str, Any]) -> dict[str, Any]:
    kept = {str(key): value for key, value in about.items() if key not in _NOISE}
    annotations = kept.get("annotations")
    if isinstance(annotations, Mapping):
        kept["annotations"] = {
            str(key): value[:_LONGEST_ANNOTATION] if isinstance(value, str) else value
            for key, value in annotations.items()
            if key not in _DROPPED_ANNOTATIONS
        }
    return kept


def _keys_only(data: Any) -> Any:
    return {str(key): None for key in data} if isinstance(data, Mapping) else None
