"""Any value that an asset can have, made from its model's own fields."""

from __future__ import annotations

from datetime import UTC, datetime
from enum import Enum
from functools import cache
from types import UnionType
from typing import Annotated, Any, Literal, Union, get_args, get_origin

from annotated_types import Gt, Lt
from hypothesis import strategies as st
from pydantic import BaseModel
from pydantic.fields import FieldInfo

from incident_pipeline.models import Envelope, EvidenceKind, Gathered, MetricSeries
from incident_pipeline.storage.incidents.tables import ASSETS, AssetTable
from kb.redaction import redact, redact_value

words = st.text("abcXYZ 09éß😀\u2028\n\t'\"\\/{}[]<>$%;.-_#*`", max_size=20).filter(lambda text: redact(text) == text)
keys = st.sampled_from(["pod", "zone", "status", "größe", "a b", "x.y", ""])
moments = st.datetimes(timezones=st.just(UTC)).map(lambda moment: moment.replace(fold=0))
numbers = st.floats(width=64)
integers = st.integers(-(2**63) + 1, 2**63 - 1)
plain = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats(allow_nan=False, allow_infinity=False) | words,
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(keys, inner, max_size=3),
    max_leaves=6,
).filter(lambda value: redact_value(value) == value)

_SCALARS: dict[Any, st.SearchStrategy[Any]] = {
    str: words,
    bool: st.booleans(),
    int: integers,
    float: numbers,
    datetime: moments,
    Any: plain,
    type(None): st.none(),
}


def of_annotation(annotation: Any) -> st.SearchStrategy[Any]:
    """Values of a field with this annotation."""
    origin, arguments = get_origin(annotation), get_args(annotation)
    if annotation in _SCALARS:
        return _SCALARS[annotation]
    if origin is Annotated:
        return of_annotation(arguments[0])
    if origin in (Union, UnionType):
        return st.one_of([of_annotation(argument) for argument in arguments])
    if origin is tuple:
        return st.lists(of_annotation(arguments[0]), max_size=3).map(tuple)
    if origin is dict:
        return st.dictionaries(keys, of_annotation(arguments[1]), max_size=3)
    if origin is Literal:
        return st.sampled_from(arguments)
    if issubclass(annotation, Enum):
        return st.sampled_from(annotation)
    return of_model(annotation)


def of_field(field: FieldInfo) -> st.SearchStrategy[Any]:
    """Values of a field, within its bounds where it has any."""
    above = next((bound.gt for bound in field.metadata if isinstance(bound, Gt)), None)
    below = next((bound.lt for bound in field.metadata if isinstance(bound, Lt)), None)
    if above is not None and below is not None:
        return st.floats(above, below, exclude_min=True, exclude_max=True)
    return of_annotation(field.annotation)


@cache
def of_model(model: type[BaseModel]) -> st.SearchStrategy[Any]:
    """Values of a model, some fields left at their defaults."""
    if model is MetricSeries:
        return series
    required = {name: of_field(f) for name, f in model.model_fields.items() if f.is_required()}
    optional = {name: of_field(f) for name, f in model.model_fields.items() if not f.is_required()}
    fields = st.fixed_dictionaries(required, optional=optional)
    return fields.map(model.model_validate)


microseconds = st.integers(-(10**14), 10**16).map(lambda number: number / 10**6)
series = st.builds(
    lambda name, service, labels, unit, points: MetricSeries(
        name=name,
        service=service,
        labels=labels,
        unit=unit,
        timestamps=tuple(at for at, _ in points),
        values=tuple(value for _, value in points),
    ),
    words,
    st.none() | words,
    st.dictionaries(keys, words, max_size=2),
    st.none() | words,
    st.lists(st.tuples(microseconds, numbers), max_size=4),
)


def gathered(table: AssetTable) -> st.SearchStrategy[Gathered[Any]]:
    """Evidence of several sources, some of which did not answer."""
    about = st.fixed_dictionaries(
        {},
        optional={"query": words, "seconds": st.floats(0, 100), "truncated": st.booleans(), "notes": st.just(("a",))},
    )
    answers = st.builds(
        lambda source, rows, more: Envelope[table.row].of(source, rows, **more),
        words,
        st.lists(of_model(table.row), max_size=4),
        about,
    )
    silences = st.builds(lambda source, error: Envelope[table.row].unavailable(source, error), words, words)
    return st.lists(answers | silences, max_size=3).map(
        lambda envelopes: Gathered[table.row](kind=EvidenceKind(table.name), envelopes=tuple(envelopes))
    )


def of_asset(table: AssetTable) -> st.SearchStrategy[Any]:
    """Any value of this asset."""
    if table.is_evidence:
        return gathered(table)
    if table.wrapper is not None:
        wrapper = table.wrapper
        return st.lists(of_model(table.row), max_size=4).map(lambda entries: wrapper(entries=tuple(entries)))
    if table.name in ASSETS and table.shape == "document":
        return of_model(table.row)
    return st.lists(of_model(table.row), max_size=4).map(tuple)
