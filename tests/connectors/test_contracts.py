"""The check of requests itself: it refuses what the vendors refuse."""

from __future__ import annotations

from typing import Any

import httpx
import pytest

from tests.connectors.contracts import Contract

SEARCH = "https://es.example/logs/_search"
DATADOG = "https://api.datadoghq.com/api/v2/logs/events/search"


@pytest.mark.parametrize(
    ("spec", "method", "url", "body"),
    [
        ("elasticsearch/openapi-2025-02.trim.json", "POST", SEARCH, {"size": "lots"}),
        ("elasticsearch/openapi-2025-02.trim.json", "POST", SEARCH, {"query": {"term": 5}}),
        ("elasticsearch/openapi-2025-02.trim.json", "GET", "https://es.example/nowhere", None),
        ("datadog/v2.trim.json", "POST", DATADOG, {"page": {"limit": 5000}}),
        ("datadog/v2.trim.json", "POST", DATADOG, {"sort": "newest"}),
        ("datadog/v1.trim.json", "GET", "https://x.example/api/v1/query?query=a", None),
        ("github/rest.trim.json", "GET", "https://x.example/repos/o/r/actions/runs?status=odd", None),
        ("github/rest.trim.json", "GET", "https://x.example/repos/o/r/commits?per_page=many", None),
        ("pagerduty/rest-v2.trim.json", "POST", "https://x.example/incidents/P1/notes", {"note": {}}),
        ("prometheus/openapi-3.1.trim.json", "GET", "https://x.example/query_range?query=up", None),
    ],
)
def test_wrong_requests_are_refused(spec: str, method: str, url: str, body: Any) -> None:
    assert Contract(spec).problems(httpx.Request(method, url, json=body))
