"""How assets get into the incident's DuckDB file and out of it again.

Everything is appended under the next version; nothing is overwritten.
"""

from __future__ import annotations

from typing import Any

import dagster as dg

from assets.resources import Responder
from incident_pipeline.errors import NotFoundError
from incident_pipeline.models import EvidenceKind, Gathered


class IncidentIOManager(dg.IOManager):
    """Stores each output as a version of its asset in the file of its incident."""

    def __init__(self, responder: Responder) -> None:
        self._responder = responder

    def handle_output(self, context: dg.OutputContext, obj: Any) -> None:
        """Write one output, unless its step already did, and show which version it became."""
        if obj is None or not context.has_asset_partitions:
            return
        asset = context.asset_key.to_user_string()
        versions = self._responder.versions
        record = versions.write(context.partition_key, {asset: obj}, {asset: _code_version(context)})[asset]
        if record is not None:
            context.add_output_metadata({"version": record.version, "rows": record.rows})

    def load_input(self, context: dg.InputContext) -> Any:
        """The value that this run computed, else the newest stored one that has an answer."""
        asset = context.asset_key.to_user_string()
        try:
            return self._responder.versions.value(context.partition_key, asset)
        except NotFoundError:
            if asset in set(EvidenceKind):
                return Gathered(kind=EvidenceKind(asset))
            raise


@dg.io_manager(required_resource_keys={"responder"})
def incident_io_manager(context: dg.InitResourceContext) -> IncidentIOManager:
    """The io manager on the same responder that the assets of the run are handed."""
    return IncidentIOManager(context.resources.responder)


def _code_version(context: dg.OutputContext) -> str:
    versions = context.step_context.job_def.asset_layer.get(context.asset_key).code_version
    return versions or ""
