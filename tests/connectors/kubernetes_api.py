"""A Kubernetes API server for tests: lists with pages and field selectors, logs, and the permissions of a role.

What it proves is how we talk to the API and that the shipped role is enough and no more; what a real server's objects
look like it does not know.
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import httpx
import yaml

ROLE = Path(__file__).resolve().parents[2] / "deploy" / "kubernetes" / "reader.yaml"
_PATH = re.compile(
    r"/(?:api/v1|apis/(?P<group>[^/]+)/[^/]+)(?:/namespaces/(?P<namespace>[^/]+))?/(?P<plural>[a-z]+)"
    r"(?:/(?P<name>[^/]+)(?:/(?P<sub>[a-z]+))?)?"
)
Object = dict[str, Any]


def rules_of(path: Path = ROLE) -> list[Mapping[str, Any]]:
    """The rules of every ClusterRole in a manifest."""
    documents = yaml.safe_load_all(path.read_text())
    return [rule for one in documents if one["kind"] == "ClusterRole" for rule in one["rules"]]


class Api:
    """The state, the permissions, and what was asked."""

    def __init__(self, objects: Mapping[str, list[Object]], rules: list[Mapping[str, Any]] | None = None) -> None:
        self._objects = objects
        """plural -> objects."""
        self._rules = rules_of() if rules is None else rules
        self.asked: list[httpx.Request] = []
        self.logs: dict[str, str] = {}
        """pod -> the log of its container that ended."""
        self.denied: set[str] = set()
        self.used: set[tuple[str, str, str]] = set()
        """(group, resource, verb) of every request."""

    @property
    def transport(self) -> httpx.MockTransport:
        """In place of the network."""
        return httpx.MockTransport(self.answer)

    def answer(self, request: httpx.Request) -> httpx.Response:
        """The answer to one request."""
        self.asked.append(request)
        match = _PATH.fullmatch(request.url.path)
        if match is None:
            return _failure(404, f"there is no {request.url.path}")
        group, plural, name, sub = match["group"] or "", match["plural"], match["name"], match["sub"]
        resource, verb = (f"{plural}/{sub}" if sub else plural), "get" if name else "list"
        self.used.add((group, resource, verb))
        if request.method != "GET" or not self._may(group, resource, verb) or plural in self.denied:
            return _failure(403, f'{resource} is forbidden: User "reader" cannot {verb} resource "{resource}"')
        if sub == "log":
            return httpx.Response(200, text=self.logs.get(name or "", ""))
        items = [o for o in self._objects.get(plural, ()) if match["namespace"] in (None, _namespace(o))]
        if name:
            found = [one for one in items if one["metadata"]["name"] == name]
            return httpx.Response(200, json=found[0]) if found else _failure(404, f"{plural} {name!r} not found")
        return self._page([one for one in items if _selected(one, request.url.params)], request.url.params)

    def _page(self, items: list[Object], params: httpx.QueryParams) -> httpx.Response:
        start, limit = int(params.get("continue", "0")), int(params.get("limit", "100000"))
        end = start + limit
        metadata = {"resourceVersion": "1", **({"continue": str(end)} if end < len(items) else {})}
        # items of a list name neither kind nor version, as the real server has it
        bare = [{k: v for k, v in one.items() if k not in {"kind", "apiVersion"}} for one in items[start:end]]
        return httpx.Response(200, json={"kind": "List", "metadata": metadata, "items": bare})

    def _may(self, group: str, resource: str, verb: str) -> bool:
        return any(
            group in rule["apiGroups"] and resource in rule["resources"] and verb in rule["verbs"]
            for rule in self._rules
        )


def _namespace(item: Object) -> str | None:
    return item["metadata"].get("namespace")


def _selected(item: Object, params: httpx.QueryParams) -> bool:
    for term in filter(None, params.get("fieldSelector", "").split(",")):
        path, unequal, value = re.split(r"(!=|=)", term, maxsplit=1)
        found: Any = item
        for key in path.split("."):
            found = found.get(key) if isinstance(found, dict) else None
        if (found == value) == (unequal == "!="):
            return False
    return True


def _failure(status: int, message: str) -> httpx.Response:
    return httpx.Response(status, json={"kind": "Status", "status": "Failure", "message": message, "code": status})
