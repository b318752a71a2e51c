"""The configuration described from its models: the table in the documentation and the schema for editors.

Belongs here: text made from the models' docstrings, so that nobody writes a key's meaning twice.
"""

from __future__ import annotations

import json
from collections.abc import Iterator
from datetime import timedelta
from enum import Enum
from pathlib import Path
from typing import Any, get_args, get_origin

from pydantic.fields import FieldInfo
from pydantic.json_schema import GenerateJsonSchema
from pydantic_core import to_jsonable_python

from incident_pipeline.config import Scenario, Section
from incident_pipeline.configuration.mistakes import keys_of
from incident_pipeline.durations import format_duration

Row = tuple[str, str, str]
"""Key, default, meaning."""


class _Schema(GenerateJsonSchema):
    """Defaults as people write them."""

    def encode_default(self, dft: Any) -> Any:
        if isinstance(dft, timedelta):
            return format_duration(dft)
        return [self.encode_default(item) for item in dft] if isinstance(dft, tuple) else super().encode_default(dft)


def json_schema() -> dict[str, Any]:
    """The JSON schema of `incident.yaml`."""
    schema = Scenario.model_json_schema(schema_generator=_Schema)
    definitions = schema.pop("$defs")
    schema, definitions = _without_noise(schema), _without_noise(definitions)
    return {
        "$schema": "https://json-schema.org/draft/2020-12/schema",
        "title": "incident.yaml",
        "type": "object",
        "additionalProperties": False,
        "required": ["scenario"],
        "properties": {"scenario": schema},
        "$defs": definitions,
    }


def _without_noise(schema: Any) -> Any:
    """Leave out titles that repeat the key, and defaults of whole sections, which their keys have one by one."""
    if isinstance(schema, list):
        return [_without_noise(item) for item in schema]
    if not isinstance(schema, dict):
        return schema
    kept = {key: _without_noise(value) for key, value in schema.items()}
    if isinstance(kept.get("title"), str):
        del kept["title"]
    if isinstance(kept.get("default"), dict) and "type" not in kept["default"]:
        del kept["default"]
    return kept


def key_table() -> str:
    """Every key as Markdown, one table for each section below `scenario`."""
    tables: dict[str, list[Row]] = {}
    for row in key_rows():
        head = row[0].split(".")[0]
        tables.setdefault(head if "." in row[0] or _is_section(head) else "", []).append(row)
    parts = [_table(head, rows) for head, rows in sorted(tables.items(), key=lambda item: item[0] != "")]
    return "\n".join(parts)


def key_rows(section: type[Section] = Scenario, prefix: str = "") -> Iterator[Row]:
    """Every key below a section, `<name>` where any name may stand, `[]` where a list has sections."""
    for key in keys_of(section):
        info = section.model_fields[key]
        path = f"{prefix}{key}"
        inner, suffix = _inner_section(info.annotation)
        if inner is None:
            yield path, _default(info), info.description or ""
        elif suffix:
            yield path + suffix, "none", info.description or inner.__doc__ or ""
            yield from key_rows(inner, f"{path}{suffix}.")
        else:
            yield from key_rows(inner, f"{path}.")


def _inner_section(annotation: Any) -> tuple[type[Section] | None, str]:
    if isinstance(annotation, type) and issubclass(annotation, Section):
        return annotation, ""
    arguments = get_args(annotation)
    for origin, suffix, index in ((dict, ".<name>", 1), (tuple, "[]", 0)):
        if get_origin(annotation) is origin:
            inner = arguments[index]
            return (inner, suffix) if isinstance(inner, type) and issubclass(inner, Section) else (None, "")
    return None, ""


def _is_section(key: str) -> bool:
    return _inner_section(Scenario.model_fields[key].annotation)[0] is not None


def _default(info: FieldInfo) -> str:
    return "required" if info.is_required() else _text(info.get_default(call_default_factory=True))


def _text(value: Any) -> str:
    if value is None or value in ((), {}):
        return "none"
    if isinstance(value, (tuple, list)):
        return ", ".join(_text(item) for item in value)
    if isinstance(value, timedelta):
        return format_duration(value)
    if isinstance(value, Enum):
        return str(value.value)
    if isinstance(value, Path):
        return f"./{value}"
    return value if isinstance(value, str) else json.dumps(to_jsonable_python(value))


def _table(head: str, rows: list[Row]) -> str:
    inner, suffix = _inner_section(Scenario.model_fields[head].annotation) if head else (None, "")
    about = inner.__doc__ if inner and not suffix else ""
    lines = [f"### `{head}`" if head else "### At the top", "", *((about, "") if about else ())]
    lines += ["| key | default | meaning |", "|---|---|---|"]
    lines += [f"| `{key}` | {_cell(default)} | {_cell(meaning)} |" for key, default, meaning in rows]
    return "\n".join(lines) + "\n"


def _cell(text: str) -> str:
    return " ".join(text.split()).replace("|", "\\|")
