"""Requests held against the vendors' own specifications (OpenAPI 3 and Swagger 2)."""

from __future__ import annotations

import json
import re
from typing import Any
from urllib.parse import parse_qsl

import httpx
from jsonschema import Draft202012Validator
from jsonschema.exceptions import ValidationError

from tests.shared_data import shared_path

NUMBERS = {"integer": int, "number": float}


class Contract:
    """One specification below `shared/contracts`."""

    def __init__(self, relative: str, base: str = "") -> None:
        self._spec = json.loads(shared_path(f"contracts/{relative}").read_text())
        self._base = base

    def problems(self, request: httpx.Request) -> list[str]:
        """What the specification has against the request; empty where it is valid."""
        path = request.url.path.removeprefix(self._base)
        found = self._operation(path, request.method.lower())
        if found is None:
            return [f"no operation {request.method} {path}"]
        operation, shared = found
        parameters = [self._resolved(parameter) for parameter in (*shared, *operation.get("parameters", ()))]
        return [*self._of_query(request, parameters), *self._of_body(request, operation, parameters)]

    def _operation(self, path: str, method: str) -> tuple[Any, Any] | None:
        matches = []
        for template, item in self._spec["paths"].items():
            pattern = re.sub(r"\\{[^}]*\\}", "[^/]+", re.escape(template))
            if re.fullmatch(pattern, path) and method in item:
                matches.append((template.count("{"), item[method], item.get("parameters", ())))
        return min(matches, key=lambda match: match[0])[1:] if matches else None

    def _of_query(self, request: httpx.Request, parameters: list[Any]) -> list[str]:
        given = request.url.params
        wanted = {parameter["name"]: parameter for parameter in parameters if parameter.get("in") == "query"}
        problems = [f"unknown parameter {name}" for name in given if name not in wanted]
        for name, parameter in wanted.items():
            if parameter.get("required") and name not in given:
                problems.append(f"missing parameter {name}")
            for value in given.get_list(name):
                problems += self._of_value(name, value, parameter.get("schema", parameter))
        for parameter in parameters:
            if (
                parameter.get("in") == "header"
                and parameter.get("required")
                and parameter["name"] not in request.headers
            ):
                problems.append(f"missing header {parameter['name']}")
        return problems

    def _of_value(self, name: str, value: str, schema: Any) -> list[str]:
        schema = self._resolved(schema)
        if schema.get("type") == "array":
            schema = self._resolved(schema.get("items", {}))
        typed: Any = value
        if schema.get("type") in NUMBERS:
            try:
                typed = NUMBERS[schema["type"]](value)
            except ValueError:
                return [f"parameter {name}: {value!r} is no {schema['type']}"]
        elif schema.get("type") == "boolean":
            if value not in ("true", "false"):
                return [f"parameter {name}: {value!r} is no boolean"]
            typed = value == "true"
        checked = {key: schema[key] for key in ("type", "enum", "minimum", "maximum", "maxLength") if key in schema}
        return [f"parameter {name}: {error.message}" for error in Draft202012Validator(checked).iter_errors(typed)]

    def _of_body(self, request: httpx.Request, operation: Any, parameters: list[Any]) -> list[str]:
        content = self._resolved(operation.get("requestBody", {})).get("content", {})
        schema = next((content[kind].get("schema") for kind in content if "json" in kind), None)
        schema = schema or next((p.get("schema") for p in parameters if p.get("in") == "body"), None)
        if schema is None and content:
            known = self._resolved(next(iter(content.values()))["schema"]).get("properties", {})
            return [f"unknown field {name}" for name, _ in parse_qsl(request.content.decode()) if name not in known]
        if schema is None or not request.content:
            return []
        whole = {**_without_nullable(schema), **self._definitions()}
        errors = Draft202012Validator(whole).iter_errors(json.loads(request.content))
        return [_said(error) for error in errors]

    def _definitions(self) -> dict[str, Any]:
        names = ("components", "definitions")
        return {name: _without_nullable(self._spec[name]) for name in names if name in self._spec}

    def _resolved(self, value: Any) -> Any:
        while isinstance(value, dict) and "$ref" in value:
            target: Any = self._spec
            for step in value["$ref"].removeprefix("#/").split("/"):
                target = target.get(step, {})
            value = target
        return value


def _without_nullable(schema: Any) -> Any:
    """OpenAPI 3.0's `nullable` as JSON Schema has it."""
    if isinstance(schema, list):
        return [_without_nullable(item) for item in schema]
    if not isinstance(schema, dict):
        return schema
    plain = {key: _without_nullable(item) for key, item in schema.items() if key not in ("nullable", "example")}
    if isinstance(plain.get("oneOf"), list):
        # branches of the specifications overlap, which they do not mean to forbid
        plain["anyOf"] = plain.pop("oneOf")
    for bound in ("exclusiveMinimum", "exclusiveMaximum"):
        if isinstance(plain.get(bound), bool):
            del plain[bound]
    return {"anyOf": [plain, {"type": "null"}]} if schema.get("nullable") is True else plain


def _said(error: ValidationError) -> str:
    return f"body {'.'.join(map(str, error.absolute_path))}: {error.message[:200]}"


def recorded(relative: str) -> list[dict[str, Any]]:
    """The interactions of a recording: request and response."""
    data = json.loads(shared_path(f"contracts/{relative}").read_text())
    interactions: list[dict[str, Any]] = data["interactions"] if isinstance(data, dict) else data
    return interactions


def answer_of(interaction: dict[str, Any]) -> httpx.Response:
    """The recorded answer as it came."""
    response = interaction["response"]
    status = response["status"]["code"] if isinstance(response["status"], dict) else response["status"]
    body = response.get("body")
    skipped = ("content-length", "content-encoding", "transfer-encoding")
    headers = [
        (name, value)
        for name, values in (response.get("headers") or {}).items()
        for value in (values if isinstance(values, list) else [values])
        if name.lower() not in skipped
    ]
    content = body if isinstance(body, str) else "" if body is None else json.dumps(body)
    return httpx.Response(status, headers=headers, content=content.encode())
