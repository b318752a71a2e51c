"""Claims that no volume answers, and volumes that a process may not use.

Belongs here: which wish of a claim no volume meets. Does not belong here: claims that a quota refused (`admission.py`).

Method: the volume that comes closest is looked for; what it lacks is the mechanism. A volume fits a claim that asks for
its class, no more than its capacity, an access mode that it has, and labels that it carries, while nobody else holds it
(https://kubernetes.io/docs/concepts/storage/persistent-volumes/#binding).
"""

from __future__ import annotations

import re

from incident_pipeline.diagnosis.kubernetes.cluster import App, Cluster, name_of, namespace_of
from incident_pipeline.diagnosis.kubernetes.fields import (
    Fields,
    fields_at,
    label_selector_matches,
    moment_at,
    quantity,
    rows_at,
    text_at,
    words_at,
)
from incident_pipeline.diagnosis.kubernetes.findings import CERTAIN, LIKELY, STRONG, Edit, Finding, Repair, app_object

_ORDER = ("storage_class", "selector", "access_mode", "capacity", "occupied")
_MECHANISMS = {
    "storage_class": "pvc_storage_class_mismatch",
    "selector": "pvc_selector_mismatch",
    "access_mode": "pvc_access_mode_mismatch",
    "capacity": "pvc_capacity_mismatch",
    "occupied": "pv_binding_occupied",
}
_EVENTS = (
    ("storage_class", re.compile(r'storageclass\S* "?[^"]*"? not found|storageClassName does not match', re.I)),
    ("access_mode", re.compile(r"incompatible accessMode|accessModes? does not match", re.I)),
    ("capacity", re.compile(r"requested PV is too small", re.I)),
    ("occupied", re.compile(r"already bound to a different claim", re.I)),
    ("selector", re.compile(r"label selector|does not match selector", re.I)),
)
_DENIED = re.compile(r"permission denied|read-only file ?system|operation not permitted|\bEACCES\b|\bEROFS\b", re.I)
_FILES = re.compile(r"open|write|creat|mkdir|chown|\brdb\b|temp|save|dir|file|/\w+/", re.I)


def volumes(cluster: Cluster) -> list[Finding]:
    """Claims that stay pending, and processes that may not use what is mounted."""
    found = []
    for app in cluster.apps:
        for name, claim in _claims(cluster, app):
            if claim is not None and text_at(claim, "status", "phase") != "Bound":
                found += _unbound(cluster, app, name, claim)
        found += _denied(cluster, app)
    return found


def _claims(cluster: Cluster, app: App) -> list[tuple[str, Fields | None]]:
    names = {
        text_at(volume, "persistentVolumeClaim", "claimName")
        for spec in (app.template, *(fields_at(pod, "spec") for pod in app.pods))
        for volume in rows_at(spec, "volumes")
    }
    return [(name, cluster.named("PersistentVolumeClaim", name, app.namespace)) for name in sorted(names - {""})]


def _unbound(cluster: Cluster, app: App, name: str, claim: Fields) -> list[Finding]:
    lacks, volume = _closest(cluster, claim)
    events = [event for event in cluster.events_of("PersistentVolumeClaim", claim) if event.warning or event.message]
    said = next((slug for event in reversed(events) for slug, p in _EVENTS if p.search(event.message)), None)
    if said is not None and (not lacks or said in lacks):
        lacks = (said,)
    if not lacks:
        return []
    wish = next(slug for slug in _ORDER if slug in lacks)
    near = f"; the nearest volume {name_of(volume)} {_offers(volume, wish)}" if volume is not None else ""
    told = events[-1].message if events else ""
    return [
        Finding(
            _MECHANISMS[wish],
            app_object(app.name),
            CERTAIN if len(lacks) == 1 else LIKELY,
            f"{app.name} waits for its volume: {_WORDS[wish]}",
            tuple(
                line
                for line in (
                    f"PersistentVolumeClaim {name} is {text_at(claim, 'status', 'phase') or 'not bound'}: "
                    f"{_asks(claim, wish)}{near}",
                    told and f'PersistentVolumeClaim {name}: "{told[:300]}"',
                )
                if line
            ),
            since=moment_at(claim, "metadata", "creationTimestamp"),
            repair=_repair(name, claim, volume, wish),
        )
    ]


def _closest(cluster: Cluster, claim: Fields) -> tuple[tuple[str, ...], Fields | None]:
    """What the volume that comes closest lacks, and that volume."""
    candidates = [
        (_lacks(claim, volume), volume) for volume in cluster.bodies("PersistentVolume") if _is_free(claim, volume)
    ]
    if not candidates:
        classes = {name_of(one) for one in cluster.bodies("StorageClass")}
        wanted = _class_of(claim)
        unknown = wanted and cluster.knows("StorageClass") and wanted not in classes
        return (("storage_class",) if unknown else ()), None
    lacks, volume = min(candidates, key=lambda pair: (len(pair[0]), "occupied" in pair[0], name_of(pair[1])))
    return lacks, volume


def _is_free(claim: Fields, volume: Fields) -> bool:
    """Whether the volume could be meant: one that a provisioner made for somebody else cannot."""
    made = "pv.kubernetes.io/provisioned-by" in fields_at(volume, "metadata", "annotations")
    return not made or not _held_by_other(claim, volume)


def _lacks(claim: Fields, volume: Fields) -> tuple[str, ...]:
    wanted, offered = words_at(claim, "spec", "accessModes"), words_at(volume, "spec", "accessModes")
    asked = quantity(fields_at(claim, "spec", "resources", "requests").get("storage"))
    has = quantity(fields_at(volume, "spec", "capacity").get("storage"))
    named = text_at(claim, "spec", "volumeName")
    checks = {
        "storage_class": _class_of(claim) == text_at(volume, "spec", "storageClassName"),
        "selector": label_selector_matches(
            fields_at(claim, "spec", "selector"), fields_at(volume, "metadata", "labels")
        ),
        "access_mode": not wanted or not offered or set(wanted) <= set(offered),
        "capacity": asked is None or has is None or asked <= has,
        "occupied": not _held_by_other(claim, volume) and named in ("", name_of(volume)),
    }
    return tuple(wish for wish in _ORDER if not checks[wish])


def _held_by_other(claim: Fields, volume: Fields) -> bool:
    holder = fields_at(volume, "spec", "claimRef")
    mine = holder.get("name") == name_of(claim) and holder.get("namespace") in (None, namespace_of(claim))
    return bool(holder) and not mine


def _class_of(claim: Fields) -> str:
    annotation = fields_at(claim, "metadata", "annotations").get("volume.beta.kubernetes.io/storage-class")
    return text_at(claim, "spec", "storageClassName") or (annotation if isinstance(annotation, str) else "")


def _denied(cluster: Cluster, app: App) -> list[Finding]:
    """A process that says that it may not use what is mounted."""
    mounts = [
        text_at(mount, "mountPath")
        for container in app.containers
        for mount in rows_at(container, "volumeMounts")
        if not text_at(mount, "mountPath").startswith("/var/run/secrets")
    ]
    lines = [line for line in cluster.lines_with(app.name, _DENIED) if _FILES.search(line.message)]
    if not lines or not mounts:
        return []
    named = any(mount and mount in line.message for mount in mounts for line in lines)
    troubled = app.ready < max(app.wanted, 1)
    if not (named or troubled or len(lines) >= 3):
        return []
    about = _owner(app)
    return [
        Finding(
            "volume_mount_permission_denied",
            app_object(app.name),
            STRONG if named or troubled else LIKELY,
            f"{app.name} may not use its mounted volume",
            (f'{app.name} logs "{lines[-1].message[:240]}"', f"mounted: {', '.join(mounts)}{about}"),
            since=lines[0].timestamp,
            repair=None,
        )
    ]


def _owner(app: App) -> str:
    contexts = (fields_at(app.template, "securityContext"), *(fields_at(c, "securityContext") for c in app.containers))
    found = [f"{key} {context[key]}" for context in contexts for key in _OWNER_FIELDS if key in context]
    return f"; securityContext {', '.join(found)}" if found else ""


_OWNER_FIELDS = ("runAsUser", "runAsGroup", "fsGroup", "readOnlyRootFilesystem")
_WORDS = {
    "storage_class": "no volume has the storage class that its claim asks for",
    "selector": "the selector of its claim matches no volume",
    "access_mode": "no volume offers the access mode of its claim",
    "capacity": "its claim asks for more than any volume holds",
    "occupied": "the volume that it needs is bound to another claim",
}


def _asks(claim: Fields, wish: str) -> str:
    return {
        "storage_class": f"storageClassName {_class_of(claim) or '(none)'}",
        "selector": f"selector {str(dict(fields_at(claim, 'spec', 'selector')))[:160]}",
        "access_mode": f"accessModes {', '.join(words_at(claim, 'spec', 'accessModes'))}",
        "capacity": f"requests {fields_at(claim, 'spec', 'resources', 'requests').get('storage')}",
        "occupied": f"volumeName {text_at(claim, 'spec', 'volumeName') or '(any)'}",
    }[wish]


def _offers(volume: Fields, wish: str) -> str:
    holder = fields_at(volume, "spec", "claimRef")
    return {
        "storage_class": f"has storageClassName {text_at(volume, 'spec', 'storageClassName') or '(none)'}",
        "selector": f"has labels {str(dict(fields_at(volume, 'metadata', 'labels')))[:120]}",
        "access_mode": f"has {', '.join(words_at(volume, 'spec', 'accessModes'))}",
        "capacity": f"holds {fields_at(volume, 'spec', 'capacity').get('storage')}",
        "occupied": f"is bound to {holder.get('namespace')}/{holder.get('name')}",
    }[wish]


def _repair(name: str, claim: Fields, volume: Fields | None, wish: str) -> Repair | None:
    """What the claim would have to say; claims cannot be changed in place, so this is the manifest's change."""
    if volume is None:
        return None
    edits = {
        "storage_class": Edit(("spec", "storageClassName"), text_at(volume, "spec", "storageClassName")),
        "selector": Edit(("spec", "selector"), None),
        "access_mode": Edit(("spec", "accessModes"), list(words_at(volume, "spec", "accessModes"))),
        "capacity": Edit(
            ("spec", "resources", "requests", "storage"), fields_at(volume, "spec", "capacity").get("storage")
        ),
    }
    edit = edits.get(wish)
    return Repair("PersistentVolumeClaim", name, namespace_of(claim), (edit,)) if edit else None
