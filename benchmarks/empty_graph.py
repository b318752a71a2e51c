"""The same assets as a response has, in as many steps, empty: what Dagster itself costs, for `latency.py`."""

from collections.abc import Iterator

import dagster as dg

from assets.definitions import build_definitions
from assets.partitions import incident_partitions


def _empty(names: list[str], after: list[dg.AssetKey]) -> dg.AssetsDefinition:
    @dg.multi_asset(
        name=f"step_{names[0]}",
        specs=[dg.AssetSpec(name, deps=after) for name in names],
        partitions_def=incident_partitions,
    )
    def nothing() -> Iterator[dg.MaterializeResult]:
        for name in names:
            yield dg.MaterializeResult(asset_key=name)

    return nothing


def _chain() -> list[dg.AssetsDefinition]:
    real = build_definitions()
    wanted = real.resolve_job_def("respond").asset_layer.executable_asset_keys
    made: list[dg.AssetsDefinition] = []
    for step in dict.fromkeys(real.get_repository_def().assets_defs_by_key.values()):
        names = sorted(key.to_user_string() for key in step.keys & wanted)
        if names:
            made.append(_empty(names, [next(iter(made[-1].keys))] if made else []))
    return made


steps = _chain()
respond = dg.define_asset_job("respond", selection=dg.AssetSelection.assets(*steps))
definitions = dg.Definitions(assets=steps, jobs=[respond], executor=dg.in_process_executor)
