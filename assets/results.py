"""The one way to hand a value to Dagster: named by its content, metadata redacted and capped."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

import dagster as dg

from assets.resources import Responder
from kb.redaction import redact

METADATA_LIMIT = 32_000
"""Characters; metadata stays in Dagster's event log for ever."""


@dataclass(frozen=True)
class Made:
    """What a step has made of one asset."""

    value: Any = None
    """What is stored; None: the asset is its metadata."""
    metadata: Mapping[str, Any] = field(default_factory=dict)
    """What people see of it in the Dagster UI."""
    checks: Sequence[dg.AssetCheckResult] = ()
    knowledge_base_version: str | None = None
    """Which memory was asked for it."""


def result(
    context: dg.AssetExecutionContext, responder: Responder, asset: str, made: Made
) -> dg.MaterializeResult[Any]:
    """The materialization of one asset, named by the content that the run will store."""
    about: dict[str, Any] = {"metadata": dict(made.metadata), "check_results": list(made.checks)}
    if made.value is None:
        return dg.MaterializeResult(**about)
    incident_id, versions = context.partition_key, responder.versions
    versions.hold(incident_id, {asset: made.value}, code_versions(context), made.knowledge_base_version)
    content = dg.DataVersion(versions.data_version(incident_id, asset))
    return dg.MaterializeResult(asset_key=asset, value=made.value, data_version=content, **about)


def markdown(text: str) -> dg.MarkdownMetadataValue:
    """Markdown for people; what comes from outside was escaped where it was written."""
    clean = redact(text)
    return dg.MetadataValue.md(clean if len(clean) <= METADATA_LIMIT else clean[:METADATA_LIMIT] + "\n\n(cut)")


def code_versions(context: dg.AssetExecutionContext) -> dict[str, str]:
    """The code version of every asset of the step."""
    versions: Mapping[dg.AssetKey, str | None] = context.assets_def.code_versions_by_key
    return {key.to_user_string(): version or "" for key, version in versions.items()}


def take_up_claim(context: dg.AssetExecutionContext, responder: Responder, claim_id: str | None) -> None:
    """Say that this run works on the claim.

    Raises:
        dagster.Failure: another attempt has taken the incident over, so this run must not go on.
    """
    if claim_id is None:
        return
    if not responder.application.inbox.begin(claim_id, context.run.run_id, responder.now()):
        raise dg.Failure("Another run has taken this incident over; this one stops.", allow_retries=False)
