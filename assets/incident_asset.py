"""How an asset of one incident is declared: a function whose parameters are other assets of the same incident.

To Dagster they are dependencies rather than inputs: each input costs two events and a look at its partitions, together
a fifth of a run (`docs/decisions/0004`). The values come from the memory of the run, or, when a step is run again
alone, from the incident's file. What the function makes is stored under its name.
"""

import inspect
from collections.abc import Callable, Iterable, Iterator
from typing import Any

import dagster as dg

from assets.partitions import incident_partitions
from assets.resources import Responder
from assets.results import Made, result

Computation = Callable[..., Made]
NOT_ASSETS = frozenset({"context", "responder"})


def incident_asset(
    *, name: str | None = None, description: str | None = None, deps: Iterable[str] = (), **options: Any
) -> Callable[[Computation], dg.AssetsDefinition]:
    """Declare an asset; its parameters but `context` and `responder` are the assets that it is computed from.

    `deps`: further assets that have to be there first; `options` go to Dagster as they are.
    """

    def declare(compute: Computation) -> dg.AssetsDefinition:
        asset = name or compute.__name__
        parameters = list(inspect.signature(compute).parameters)
        needed = [parameter for parameter in parameters if parameter not in NOT_ASSETS]

        def computed(context: dg.AssetExecutionContext, responder: Responder) -> Iterator[dg.MaterializeResult[Any]]:
            given: dict[str, Any] = {"context": context, "responder": responder}
            values = {asset: responder.versions.value(context.partition_key, asset) for asset in needed}
            one = compute(**{parameter: {**given, **values}[parameter] for parameter in parameters})
            yield result(context, responder, asset, one)

        made: dg.AssetsDefinition = dg.asset(
            name=asset,
            description=description or inspect.getdoc(compute),
            deps=[*deps, *needed],
            partitions_def=incident_partitions,
            **options,
        )(computed)
        return made

    return declare
