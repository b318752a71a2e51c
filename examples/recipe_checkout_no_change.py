"""No change is to blame: the provider that payments calls stops answering in time, and checkout waits and fails.

Calls to api.cardpay.example.com take longer from 18:52 and run into the time-out of ten seconds. A release of
recommendations is complete six minutes before, one of payments forty minutes before, and a checkout commit was merged
and not released: all three are innocent.
"""

from __future__ import annotations

from datetime import UTC, datetime, timedelta

from recording import Recording, from_then, stamp

DAY = datetime(2026, 4, 9, tzinfo=UTC)
ONSET = DAY + timedelta(hours=18, minutes=52)
PROVIDER = "https://api.cardpay.example.com/v2/authorize"

_RECOMMENDATIONS_DIFF = """--- a/recommendations/carousel.py
+++ b/recommendations/carousel.py
@@ -22,5 +22,5 @@ def carousel(user: User) -> list[Item]:
-    return ranked(user)[:8]
+    return ranked(user)[:10]
"""
_RECEIPT_DIFF = """--- a/payments/receipts.py
+++ b/payments/receipts.py
@@ -14,3 +14,3 @@ def receipt(payment: Payment) -> str:
-    return f"Receipt {payment.id}"
+    return f"Receipt no. {payment.id}"
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
        "checkout-no-change", DAY + timedelta(hours=16, minutes=20), ONSET + timedelta(minutes=23), seed=4096
    )
    it.services = [
        {"name": "web", "depends_on": ["checkout", "recommendations"], "owner": "storefront team", "tier": "1"},
        {"name": "checkout", "depends_on": ["payments", "orders"], "owner": "checkout team", "tier": "1"},
        {"name": "payments", "depends_on": [], "owner": "payment team", "tier": "1"},
        {"name": "orders", "depends_on": ["orders-db"], "owner": "checkout team", "tier": "1"},
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
            "summary": "Checkout p99 latency above 8 s and 9% of orders failing",
            "severity": "P1",
            "status": "triggered",
            "service": "checkout",
            "environment": "production",
            "labels": {"alertname": "CheckoutLatencyHigh", "team": "checkout"},
            "started_at": stamp(ONSET + timedelta(minutes=5)),
        },
        {
            "source": "alertmanager",
            "source_id": "5b77d03e19ac",
            "dedup_key": "PaymentsErrors/production/payments",
            "title": "Payments returning 504",
            "summary": "Payments returning 504 for 12% of requests",
            "severity": "P2",
            "status": "triggered",
            "service": "payments",
            "environment": "production",
            "labels": {"alertname": "PaymentsErrors", "team": "payments"},
            "started_at": stamp(ONSET + timedelta(minutes=6)),
        },
    ]
    return it


def _changes(it: Recording) -> None:
    carousel = it.commit(
        DAY + timedelta(hours=16, minutes=55),
        "recommendations",
        "Ten items in the carousel",
        ["recommendations/carousel.py"],
        _RECOMMENDATIONS_DIFF,
    )
    receipt = it.commit(
        DAY + timedelta(hours=17, minutes=40),
        "payments",
        "Wording of the receipt",
        ["payments/receipts.py"],
        _RECEIPT_DIFF,
    )
    text = it.commit(
        DAY + timedelta(hours=18, minutes=32),
        "checkout",
        "Friendlier confirmation mail",
        ["checkout/templates/confirmation.txt"],
        _TEXT_DIFF,
    )
    it.release("deploy-51d0c7", "payments", ("v2.9.0", "v2.9.1"), receipt, ONSET - timedelta(minutes=40))
    it.release("deploy-e4f718", "recommendations", ("v0.43.2", "v0.44.0"), carousel, ONSET - timedelta(minutes=6))
    it.truth = {
        "root_cause_service": "payments",
        "root_cause_metric": "provider_latency_p99_ms",
        "root_cause_change": "none",
        "category": "dependency_failure",
        "category_also": ["external_factor"],
        "blast_radius": ["checkout", "web"],
        "remediation": "failover",
        "decoys": [carousel, receipt, text],
        "injected_at": stamp(ONSET),
        "dataset": "examples",
        "source": "made up for this project",
    }


def _metrics(it: Recording) -> None:
    quick = timedelta(minutes=2)
    for service, requests, latency, cpu in (
        ("web", 210, 320, 36),
        ("checkout", 45, 260, 30),
        ("payments", 44, 420, 27),
        ("orders", 44, 110, 33),
        ("recommendations", 120, 70, 41),
    ):
        slow = {"web": 8900.0, "checkout": 9700.0, "payments": 10050.0}.get(service)
        failing = {"web": 0.02, "checkout": 0.09, "payments": 0.12}.get(service)
        it.series(service, "requests_per_second", requests, noise=0.04, daily=0.05)
        it.series(service, "latency_p99_ms", latency, noise=0.06, effect=from_then(ONSET, to=slow, ramp=quick))
        later = ONSET + (timedelta(minutes=0) if service == "payments" else timedelta(minutes=1))
        it.series(service, "error_ratio", 0.002, noise=0.2, effect=from_then(later, to=failing))
        it.series(service, "cpu_percent", cpu, noise=0.05, daily=0.04)
    it.series("payments", "provider_latency_p99_ms", 310, noise=0.07, effect=from_then(ONSET, to=10000.0))
    it.series("payments", "provider_timeouts_per_minute", 0.3, noise=0.5, effect=from_then(ONSET, to=290.0))
    it.series("orders-db", "connections_used", 71, noise=0.04)
    it.series("orders-db", "cpu_percent", 34, noise=0.05)


def _logs(it: Recording) -> None:
    start, end = ONSET - timedelta(minutes=97), it.end
    spans = {"start": start, "end": end}
    it.chatter("web", "info", 1.6, lambda r: f"GET /deals/{r.randint(10, 60)} 200 in {r.randint(50, 310)} ms", **spans)
    it.chatter(
        "checkout",
        "info",
        1.2,
        lambda r: f"basket {r.getrandbits(32):08x} checked out, {r.randint(1, 7)} items",
        **spans,
    )
    it.chatter("payments", "info", 1.4, lambda r: f"charge ch_{r.getrandbits(40):010x} captured", **spans)
    it.chatter(
        "orders", "info", 1.0, lambda r: f"order {r.randint(800000, 899999)} stored in {r.randint(12, 70)} ms", **spans
    )
    it.chatter("recommendations", "info", 0.8, lambda r: f"carousel for user {r.randint(1, 99999)} computed", **spans)
    it.chatter("orders-db", "warn", 0.1, lambda r: f"slow query: {r.randint(510, 900)} ms select from orders", **spans)
    it.chatter(
        "payments",
        "warn",
        0.2,
        lambda r: f"charge ch_{r.getrandbits(40):010x} declined by issuer: insufficient funds",
        **spans,
    )
    after = {"start": ONSET + timedelta(seconds=10), "end": end}
    it.chatter(
        "payments",
        "error",
        7.0,
        lambda r: f"POST {PROVIDER} timed out after 10000 ms (attempt {r.randint(1, 2)} of 2)",
        **after,
    )
    it.chatter("payments", "error", 2.0, lambda _r: f"POST {PROVIDER} answered 503 Service Unavailable", **after)
    it.chatter(
        "checkout",
        "error",
        4.0,
        lambda r: f"order {r.randint(800000, 899999)} not paid: payments answered 504 after 20 s",
        **after,
    )
    it.chatter("web", "warn", 2.0, lambda r: f"checkout took {r.randint(8000, 20900)} ms", **after)


def _traces(it: Recording) -> None:
    at = ONSET - timedelta(minutes=30)
    while at < it.end:
        waiting = at >= ONSET and it.random.random() < 0.6
        failed = waiting and it.random.random() < 0.2
        status = "error" if failed else "ok"
        provider = 10000.0 if failed else it.random.uniform(4000, 9500) if waiting else it.random.uniform(150, 300)
        it.trace(
            at,
            [
                ("web", "POST /checkout", provider + 140, status),
                ("checkout", "place order", provider + 85, status),
                ("payments", "authorize charge", provider + 20, status),
                ("payments", "POST api.cardpay.example.com/v2/authorize", provider, status),
            ],
        )
        at += timedelta(seconds=it.random.randint(25, 45))
