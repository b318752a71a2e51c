"""Requests of connectors against the vendors' own specifications, as Prism plays them: a wrong one is refused."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any, NamedTuple

import pytest

from incident_pipeline.config import Scenario
from incident_pipeline.connectors.registry import CONNECTORS, build_sources
from incident_pipeline.evidence.gather import gather_now
from incident_pipeline.models import EnvelopeStatus, EvidenceKind
from tests.connectors.questions import AROUND, incident
from tests.integration.peers import free_port, program, running
from tests.shared_data import shared_path


class Vendor(NamedTuple):
    """One specification, and who is held to it."""

    name: str
    spec: str
    without: frozenset[EvidenceKind] = frozenset()


VENDORS = [
    # its pattern for the dates of change events is a picture, which no date matches
    Vendor("pagerduty", "pagerduty/rest-v2.prism.json", frozenset({EvidenceKind.DEPLOYMENTS})),
    Vendor("opsgenie", "opsgenie/swagger.prism.json"),
    Vendor("statuspage", "statuspage/openapi.trim.json"),
    Vendor("argocd", "argocd/swagger.prism.json"),
]
"""GitHub's does not know the media type that GitHub asks for: it is held to it in `tests/connectors`."""


@contextmanager
def prism(folder: Path, spec: str) -> Iterator[str]:
    port = free_port()
    command = [program("prism"), "mock", "-h", "127.0.0.1", "-p", str(port), "--errors"]
    with running([*command, str(shared_path(f"contracts/{spec}"))], folder, f"http://127.0.0.1:{port}/") as url:
        yield url.rstrip("/")


@pytest.mark.parametrize("vendor", VENDORS, ids=[vendor.name for vendor in VENDORS])
def test_no_request_is_refused(vendor: Vendor, tmp_path: Path) -> None:
    with prism(tmp_path, vendor.spec) as url:
        settings = scenario(vendor.name, url)
        kinds = sorted(CONNECTORS[vendor.name].kinds - vendor.without)
        found = gather_now(kinds, build_sources(settings), incident(), settings, AROUND)
    for kind, answer in found.items():
        for envelope in answer.envelopes:
            assert envelope.status is not EnvelopeStatus.UNAVAILABLE, (kind, envelope.error)
            assert not [note for note in envelope.notes if "answered 4" in note], envelope.notes


def scenario(name: str, url: str) -> Scenario:
    projects = {"payments": ["shop/payments"]}
    kinds = CONNECTORS[name].kinds
    sections: dict[EvidenceKind, tuple[str, dict[str, Any]]] = {
        EvidenceKind.DEPLOYMENTS: ("deployments", {"sources": [name], "projects": projects}),
        EvidenceKind.CODE_CHANGES: ("code", {"sources": [name], "repositories": projects}),
        EvidenceKind.RELATED_ALERTS: ("related_alerts", {"sources": [name]}),
        EvidenceKind.ON_CALL: ("on_call", {}),
    }
    context = {section: {**about, "deadline": "60s"} for kind, (section, about) in sections.items() if kind in kinds}
    connection = {"url": url, "token": "key-0123456789", "timeout": "60s", "options": {"page": "p1"}}
    return Scenario.model_validate(
        {
            "connections": {name: connection},
            "alerts": {"sources": {name: {"api_key": "key-0123456789"}}},
            "context": context,
        }
    )
