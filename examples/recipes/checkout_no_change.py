"""No change is to blame: three times the usual traffic, and orders runs out of connections to its database.

Requests rise first, then the pool of connections of orders is full, then orders and all that call it wait and fail. The
database itself has room. A release of recommendations is complete six minutes before, and a checkout commit was merged
and not released: both are innocent.
"""

from __future__ import annotations

from datetime import UTC, datetime, timedelta

from recipes.recording import Recording, from_then, stamp

DAY = datetime(2026, 4, 9, tzinfo=UTC)
SURGE = DAY + timedelta(hours=18, minutes=50)
FULL = SURGE + timedelta(minutes=4)
"""When the pool has no connection left."""
POOL = 198
"""Connections of all six replicas together."""

_RECOMMENDATIONS_DIFF = """--- a/recommendations/carousel.py
+++ b/recommendations/carousel.py
@@ -22,5 +22,5 @@ def carousel(user: User) -> list[Item]:
-    return ranked(user)[:8]
+    return ranked(user)[:10]
"""
_TEXT_DIFF = """--- a/checkout/templates/confirmation.txt
+++ b/checkout/templates/confirmation.txt
@@ -1,3 +1,3 @@
-Thank you for your order.
+Thank you for your order!
"""


def record() -> Recording:
    """Everything that the sources would have answered."""
    it = Recording(
        "checkout-no-change", DAY + timedelta(hours=16, minutes=30), SURGE + timedelta(minutes=25), seed=4096
    )
    it.services = [
        {"name": "web", "depends_on": ["checkout", "recommendations"], "owner": "storefront team", "tier": "1"},
        {"name": "checkout", "depends_on": ["orders", "payments"], "owner": "checkout team", "tier": "1"},
        {"name": "orders", "depends_on": ["orders-db"], "owner": "checkout team", "tier": "1"},
        {"name": "payments", "depends_on": [], "owner": "payment team", "tier": "1"},
        {"name": "recommendations", "depends_on": [], "owner": "discovery team", "tier": "3"},
        {"name": "orders-db", "depends_on": [], "owner": "database team", "tier": "1"},
    ]
    _changes(it)
    _metrics(it)
    _logs(it)
    _traces(it)
    it.alerts = [
        {
            "source": "alertmanager",
            "source_id": "c1f0aa92d7e3",
            "dedup_key": "CheckoutLatencyHigh/production/checkout",
            "title": "Checkout slow and failing",
            "summary": "Checkout p99 latency above 3 s and 9% of orders failing",
            "severity": "P1",
            "status": "triggered",
            "service": "checkout",
            "environment": "production",
            "labels": {"alertname": "CheckoutLatencyHigh", "team": "checkout"},
            "started_at": stamp(FULL + timedelta(minutes=4)),
        },
        {
            "source": "alertmanager",
            "source_id": "5b77d03e19ac",
            "dedup_key": "OrdersErrors/production/orders",
            "title": "Orders returning 503",
            "summary": "Orders returning 503 for 12% of requests",
            "severity": "P2",
            "status": "triggered",
            "service": "orders",
            "environment": "production",
            "labels": {"alertname": "OrdersErrors", "team": "checkout"},
            "started_at": stamp(FULL + timedelta(minutes=6)),
        },
    ]
    return it


def _changes(it: Recording) -> None:
    docs = it.commit(
        DAY + timedelta(hours=9, minutes=40), "orders", "Explain the retention of orders", ["docs/retention.md"]
    )
    carousel = it.commit(
        DAY + timedelta(hours=16, minutes=55),
        "recommendations",
        "Ten items in the carousel",
        ["recommendations/carousel.py"],
        _RECOMMENDATIONS_DIFF,
    )
    text = it.commit(
        DAY + timedelta(hours=18, minutes=32),
        "checkout",
        "Friendlier confirmation mail",
        ["checkout/templates/confirmation.txt"],
        _TEXT_DIFF,
    )
    it.release("deploy-51d0c7", "orders", ("v4.1.9", "v4.2.0"), docs, DAY + timedelta(hours=10, minutes=15))
    it.release("deploy-e4f718", "recommendations", ("v0.43.2", "v0.44.0"), carousel, SURGE - timedelta(minutes=6))
    it.truth = {
        "root_cause_service": "orders",
        "root_cause_metric": "db_pool_in_use",
        "root_cause_change": "none",
        "category": "capacity_problem",
        "category_also": ["external_factor"],
        "blast_radius": ["checkout", "web"],
        "remediation": "scale",
        "decoys": [carousel, text],
        "injected_at": stamp(SURGE),
        "dataset": "examples",
        "source": "made up for this project",
    }


def _metrics(it: Recording) -> None:
    quick = timedelta(minutes=3)
    for service, requests, latency, cpu in (
        ("web", 210, 320, 36),
        ("checkout", 45, 260, 30),
        ("orders", 44, 110, 33),
        ("payments", 40, 190, 27),
        ("recommendations", 120, 70, 41),
    ):
        more = {"web": 3.1, "checkout": 3.2, "orders": 3.2, "payments": 1.9, "recommendations": 2.9}[service]
        slow = {"web": 3600.0, "checkout": 4100.0, "orders": 3900.0}.get(service)
        failing = {"web": 0.05, "checkout": 0.09, "orders": 0.12}.get(service)
        it.series(
            service,
            "requests_per_second",
            requests,
            noise=0.04,
            daily=0.05,
            effect=from_then(SURGE, times=more, ramp=quick),
        )
        it.series(service, "latency_p99_ms", latency, noise=0.06, effect=from_then(FULL, to=slow, ramp=quick))
        it.series(service, "error_ratio", 0.002, noise=0.2, effect=from_then(FULL, to=failing, ramp=quick))
        it.series(service, "cpu_percent", cpu, noise=0.05, effect=from_then(SURGE, times=1.5, ramp=quick))
    it.series("orders", "replicas", 6, noise=0.0)
    it.series("orders", "db_pool_in_use", 62, noise=0.05, effect=_filling, most=POOL)
    it.series("orders", "db_pool_size", POOL, noise=0.0)
    it.series("orders", "db_pool_waiting", 0.4, noise=0.5, effect=from_then(FULL, to=118, ramp=quick))
    it.series("orders-db", "connections_used", 71, noise=0.04, effect=from_then(SURGE, times=2.7, ramp=quick))
    it.series("orders-db", "cpu_percent", 34, noise=0.05, effect=from_then(SURGE, times=1.4, ramp=quick))


def _filling(at: datetime, value: float) -> float:
    """Up with the traffic, to the limit and not beyond."""
    if at < SURGE:
        return value
    return POOL * 1.2 if at >= FULL else value + (POOL - value) * ((at - SURGE) / (FULL - SURGE))


def _logs(it: Recording) -> None:
    start, end = SURGE - timedelta(minutes=95), it.end
    for begin, finish, busy in ((start, SURGE, 1.0), (SURGE, end, 2.6)):
        spans = {"start": begin, "end": finish}
        it.chatter(
            "web",
            "info",
            1.3 * busy,
            lambda r: f"GET /deals/{r.randint(10, 60)} 200 in {r.randint(50, 310)} ms",
            **spans,
        )
        it.chatter(
            "checkout",
            "info",
            1.0 * busy,
            lambda r: f"basket {r.getrandbits(32):08x} checked out, {r.randint(1, 7)} items",
            **spans,
        )
        it.chatter(
            "orders",
            "info",
            1.2 * busy,
            lambda r: f"order {r.randint(800000, 899999)} stored in {r.randint(12, 70)} ms",
            **spans,
        )
        it.chatter("payments", "info", 0.8 * busy, lambda r: f"charge ch_{r.getrandbits(40):010x} captured", **spans)
        it.chatter(
            "recommendations",
            "info",
            0.7 * busy,
            lambda r: f"carousel for user {r.randint(1, 99999)}: 10 items",
            **spans,
        )
        it.chatter(
            "orders-db",
            "warn",
            0.1 * busy,
            lambda r: f"slow query: {r.randint(510, 900)} ms select from orders",
            **spans,
        )
    after = {"start": FULL, "end": end}
    it.chatter(
        "orders",
        "error",
        9.0,
        lambda r: (
            "connection pool exhausted: timed out after 3000 ms waiting for a connection to orders-db "
            f"(pool 33 of 33 in use, {r.randint(40, 190)} waiting)"
        ),
        **after,
    )
    it.chatter(
        "checkout",
        "error",
        4.0,
        lambda r: f"order {r.randint(800000, 899999)} not stored: orders answered 503 after 3 s",
        **after,
    )
    it.chatter("web", "warn", 2.0, lambda r: f"checkout took {r.randint(3000, 4900)} ms", **after)


def _traces(it: Recording) -> None:
    at = SURGE - timedelta(minutes=30)
    while at < it.end:
        waiting = at >= FULL and it.random.random() < 0.6
        failed = waiting and it.random.random() < 0.2
        status = "error" if failed else "ok"
        query = it.random.uniform(8, 40)
        total = it.random.uniform(2600, 3000) if waiting else query + 30
        it.trace(
            at,
            [
                ("web", "POST /checkout", total + 90, status),
                ("checkout", "place order", total + 45, status),
                ("orders", "store order", total, status),
                *([] if failed else [("orders-db", "insert order", query, "ok")]),
            ],
        )
        at += timedelta(seconds=it.random.randint(25, 45))
