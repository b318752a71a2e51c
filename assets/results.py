"""One way to hand a value to Dagster: the hash of its content as data version, metadata redacted and capped."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import dagster as dg

from assets.resources import Responder
from incident_pipeline.storage.incidents.content import prepare
from kb.redaction import redact

METADATA_LIMIT = 32_000
"""Characters; metadata stays in Dagster's event log for ever."""


def result(
    asset: str,
    value: Any,
    metadata: Mapping[str, Any] | None = None,
    checks: Sequence[dg.AssetCheckResult] = (),
    data_version: str | None = None,
) -> dg.MaterializeResult[Any]:
    """The materialization of one asset; `data_version` spares naming the content anew where that is known."""
    return dg.MaterializeResult(
        asset_key=asset,
        value=value,
        data_version=dg.DataVersion(data_version or prepare(asset, value).data_version),
        metadata=dict(metadata or {}),
        check_results=list(checks),
    )


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
