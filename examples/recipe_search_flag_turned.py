"""A feature flag is turned: the new ranking of search reads every result anew and takes seconds.

search-semantic-ranking goes on at 09:10. The latency of search rises at once, then requests time out. A release of
search two hours before and a release of catalog a few minutes before are innocent.
"""

from __future__ import annotations

from datetime import UTC, datetime, timedelta

from recording import Recording, from_then, stamp

DAY = datetime(2026, 5, 20, tzinfo=UTC)
TURNED = DAY + timedelta(hours=9, minutes=10)
ONSET = TURNED + timedelta(minutes=1)
TIMEOUTS = TURNED + timedelta(minutes=3)

_RANKING_DIFF = """--- a/search/ranking.py
+++ b/search/ranking.py
@@ -31,4 +31,10 @@ def rank(query: Query, hits: list[Hit]) -> list[Hit]:
+    if flags.is_on("search-semantic-ranking"):
+        return rankers["search-semantic-ranking"](query, hits)
     return sorted(hits, key=lambda hit: -hit.score)
+
+
+@ranker("search-semantic-ranking")
+def by_meaning(query: Query, hits: list[Hit]) -> list[Hit]:
+    return sorted(hits, key=lambda hit: -similarity(embed(query.text), embed(hit.text)))
"""
_CATALOG_DIFF = """--- a/catalog/export.py
+++ b/catalog/export.py
@@ -9,3 +9,3 @@ def export(items: list[Item]) -> str:
-    return to_csv(items)
+    return to_csv(items, delimiter=";")
"""


def record() -> Recording:
    """Everything that the sources would have answered."""
    it = Recording("search-flag-turned", DAY + timedelta(hours=6, minutes=45), TURNED + timedelta(minutes=25), seed=910)
    it.services = [
        {"name": "web", "depends_on": ["search", "catalog"], "owner": "storefront team", "tier": "1"},
        {"name": "search", "depends_on": ["search-index"], "owner": "search team", "tier": "1"},
        {"name": "catalog", "depends_on": [], "owner": "catalog team", "tier": "2"},
        {"name": "accounts", "depends_on": [], "owner": "accounts team", "tier": "2"},
        {"name": "search-index", "depends_on": [], "owner": "search team", "tier": "1"},
    ]
    _changes(it)
    _metrics(it)
    _logs(it)
    _traces(it)
    it.alerts = [
        {
            "source": "datadog",
            "source_id": "7719034",
            "dedup_key": "monitor-7719034/service:search",
            "title": "Search timeouts",
            "summary": "Search p99 latency above 2 s and 7% of searches timing out",
            "severity": "P2",
            "status": "triggered",
            "service": "search",
            "environment": "production",
            "labels": {"monitor": "search latency"},
            "started_at": stamp(TURNED + timedelta(minutes=6)),
        }
    ]
    return it


def _changes(it: Recording) -> None:
    ranking = it.commit(
        DAY - timedelta(hours=8), "search", "Semantic ranking behind a flag, off", ["search/ranking.py"], _RANKING_DIFF
    )
    export = it.commit(
        DAY + timedelta(hours=8, minutes=37),
        "catalog",
        "Semicolons in the export",
        ["catalog/export.py"],
        _CATALOG_DIFF,
    )
    it.release("deploy-2f6b90", "search", ("v11.3.7", "v11.4.0"), ranking, DAY + timedelta(hours=7, minutes=4))
    it.release("deploy-c0a15d", "catalog", ("v3.11.4", "v3.12.0"), export, TURNED - timedelta(minutes=8))
    it.turn("accounts-dark-mode", "accounts", DAY + timedelta(hours=8, minutes=20), "accounts team")
    it.turn("search-semantic-ranking", "search", TURNED, "search team")
    it.truth = {
        "root_cause_service": "search",
        "root_cause_metric": "latency_p99_ms",
        "root_cause_flag": "search-semantic-ranking",
        "category": "configuration_error",
        "category_also": ["deployment_issue", "code_bug", "capacity_problem"],
        "blast_radius": ["web"],
        "remediation": "disable_flag",
        "decoys": [export, ranking],
        "injected_at": stamp(TURNED),
        "dataset": "examples",
        "source": "made up for this project",
    }


def _metrics(it: Recording) -> None:
    quick = timedelta(minutes=2)
    for service, requests, latency, cpu, memory in (
        ("web", 190, 330, 37, 1400),
        ("search", 85, 240, 42, 2100),
        ("catalog", 150, 50, 25, 900),
        ("accounts", 30, 80, 18, 700),
    ):
        slow = {"web": 2700.0, "search": 2450.0}.get(service)
        failing = {"web": 0.028, "search": 0.07}.get(service)
        it.series(service, "requests_per_second", requests, noise=0.04, daily=0.06)
        it.series(service, "latency_p99_ms", latency, noise=0.06, effect=from_then(ONSET, to=slow, ramp=quick))
        it.series(service, "error_ratio", 0.002, noise=0.2, effect=from_then(TIMEOUTS, to=failing))
        it.series(
            service, "cpu_percent", cpu, noise=0.04, effect=from_then(ONSET, times=1.4 if service == "search" else 1.0)
        )
        it.series(service, "memory_mb", memory, noise=0.01)
    it.series("search-index", "cpu_percent", 39, noise=0.05)
    it.series("search-index", "latency_p99_ms", 35, noise=0.06)


def _logs(it: Recording) -> None:
    start, end = TURNED - timedelta(minutes=95), it.end
    spans = {"start": start, "end": end}
    it.chatter(
        "web", "info", 1.8, lambda r: f"GET /search?page={r.randint(1, 9)} 200 in {r.randint(90, 320)} ms", **spans
    )
    it.chatter("search", "info", 2.4, lambda r: f"query {r.getrandbits(32):08x}: {r.randint(0, 400)} hits", **spans)
    it.chatter("catalog", "info", 1.1, lambda r: f"item {r.randint(1000, 9999)} read", **spans)
    it.chatter("accounts", "info", 0.8, lambda r: f"session {r.getrandbits(32):08x} renewed", **spans)
    it.chatter(
        "search-index",
        "info",
        0.4,
        lambda r: f"segment {r.randint(10, 99)} merged in {r.randint(100, 800)} ms",
        **spans,
    )
    it.chatter("accounts", "warn", 0.1, lambda r: f"password of account {r.randint(1000, 9999)} wrong", **spans)
    it.log(TURNED + timedelta(seconds=2), "search", "info", "flag search-semantic-ranking is now on")
    after = {"start": ONSET, "end": end}
    it.chatter(
        "search",
        "warn",
        4.0,
        lambda r: (
            f"ranker search-semantic-ranking took {r.randint(1400, 2900)} ms, {r.randint(120, 400)} hits, budget 400 ms"
        ),
        **after,
    )
    late = {"start": TIMEOUTS, "end": end}
    it.chatter(
        "search",
        "error",
        6.0,
        lambda r: f"query {r.getrandbits(32):08x} timed out after 2500 ms in ranker search-semantic-ranking",
        **late,
    )
    it.chatter("web", "error", 3.0, lambda r: f"search answered 504 for session {r.getrandbits(32):08x}", **late)


def _traces(it: Recording) -> None:
    at = TURNED - timedelta(minutes=30)
    while at < it.end:
        slow = at >= ONSET
        failed = at >= TIMEOUTS and it.random.random() < 0.1
        status = "error" if failed else "ok"
        spent = 2500.0 if failed else it.random.uniform(1300, 2400) if slow else it.random.uniform(60, 200)
        it.trace(
            at,
            [
                ("web", "GET /search", spent + 40, status),
                ("search", "rank", spent, status),
                ("search-index", "read", it.random.uniform(8, 30), "ok"),
            ],
        )
        at += timedelta(seconds=it.random.randint(20, 40))
