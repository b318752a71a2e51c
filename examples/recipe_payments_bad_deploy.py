"""A deployment breaks payments: new validation code fails for customers without a billing address.

The incident of the status update in the README. deploy-abc123 (v2.3.5) is complete at 14:28; the new rules are loaded
with the next refresh, so errors begin at 14:32. Around it: releases of other services, one of them later than the
faulty one, and commits that have nothing to do with it.
"""

from __future__ import annotations

from datetime import UTC, datetime, timedelta

from recording import Recording, from_then, stamp

DAY = datetime(2026, 3, 17, tzinfo=UTC)
ONSET = DAY + timedelta(hours=14, minutes=32)

_VALIDATION_DIFF = """--- a/payment/validation.py
+++ b/payment/validation.py
@@ -71,9 +71,21 @@ class PaymentValidator:
     def validate(self, payment: Payment) -> None:
         self._check_amount(payment)
         self._check_currency(payment)
+        if self._rules.address_check:
+            self._check_billing_address(payment)

     def _check_amount(self, payment: Payment) -> None:
         if payment.amount <= 0:
             raise InvalidPayment("amount must be positive")
+
+    def _check_billing_address(self, payment: Payment) -> None:
+        address = payment.customer.billing_address
+        rule = self._rules.postal_code[address.country]
+        if not rule.match(address.postal_code):
+            raise InvalidPayment("postal code does not match the country")
--- a/payment/rules.py
+++ b/payment/rules.py
@@ -18,4 +18,6 @@ class Rules:
     refresh_seconds: int = 300
     currencies: frozenset[str] = frozenset()
+    address_check: bool = True
+    postal_code: dict[str, Pattern] = field(default_factory=load_postal_codes)
"""
_BANNER_DIFF = """--- a/web/templates/home.html
+++ b/web/templates/home.html
@@ -12,3 +12,3 @@
-<p class="banner">Winter sale ends Sunday</p>
+<p class="banner">Spring collection is here</p>
"""
_CATALOG_DIFF = """--- a/catalog/sorting.py
+++ b/catalog/sorting.py
@@ -40,5 +40,5 @@ def by_popularity(items: list[Item]) -> list[Item]:
-    return sorted(items, key=lambda item: -item.views)
+    return sorted(items, key=lambda item: (-item.views, item.name))
"""
_LEDGER_DIFF = """--- a/ledger/requirements.txt
+++ b/ledger/requirements.txt
@@ -3,3 +3,3 @@
-python-dateutil==2.9.0
+python-dateutil==2.9.0.post0
"""


def record() -> Recording:
    """Everything that the sources would have answered."""
    it = Recording("payments-bad-deploy", DAY + timedelta(hours=12), DAY + timedelta(hours=14, minutes=55), seed=2305)
    it.services = [
        {"name": "web", "depends_on": ["checkout", "catalog"], "owner": "storefront team", "tier": "1"},
        {"name": "checkout", "depends_on": ["payments", "catalog"], "owner": "storefront team", "tier": "1"},
        {"name": "payments", "depends_on": ["ledger", "payments-db"], "owner": "payment team", "tier": "1"},
        {"name": "ledger", "depends_on": [], "owner": "finance team", "tier": "2"},
        {"name": "catalog", "depends_on": [], "owner": "catalog team", "tier": "2"},
        {"name": "payments-db", "depends_on": [], "owner": "database team", "tier": "1"},
    ]
    _changes(it)
    _metrics(it)
    _logs(it)
    _traces(it)
    it.alerts = [
        {
            "source": "pagerduty",
            "source_id": "Q2PAY5XX01",
            "dedup_key": "payments-5xx-ratio",
            "title": "Payment Processing Errors",
            "summary": "Payment API returning 500 errors for ~15% of requests",
            "severity": "P1",
            "status": "triggered",
            "service": "payments",
            "environment": "production",
            "labels": {"metric": "error_ratio", "threshold": "0.05"},
            "started_at": stamp(DAY + timedelta(hours=14, minutes=35)),
            "url": "https://example.pagerduty.com/incidents/Q2PAY5XX01",
        }
    ]
    return it


def _changes(it: Recording) -> None:
    def at(hour: int, minute: int) -> datetime:
        return DAY + timedelta(hours=hour, minutes=minute)

    it.commit(at(9, 12), "payments", "Describe the refund states in the README", ["README.md"])
    ledger = it.commit(at(10, 5), "ledger", "Update python-dateutil", ["ledger/requirements.txt"], _LEDGER_DIFF)
    web = it.commit(at(11, 20), "web", "Spring banner on the home page", ["web/templates/home.html"], _BANNER_DIFF)
    it.commit(at(12, 41), "checkout", "Test the empty basket", ["tests/test_basket.py"])
    faulty = it.commit(
        at(13, 47),
        "payments",
        "Validate the postal code of the billing address before charging",
        ["payment/validation.py", "payment/rules.py", "tests/test_validation.py"],
        _VALIDATION_DIFF,
    )
    catalog = it.commit(
        at(13, 58), "catalog", "Stable order of equally popular items", ["catalog/sorting.py"], _CATALOG_DIFF
    )
    it.release("deploy-7d41e0", "ledger", ("v1.18.1", "v1.18.2"), ledger, at(11, 6))
    it.release("deploy-90c2fa", "web", ("v5.30.2", "v5.31.0"), web, at(13, 41))
    it.release("deploy-abc123", "payments", ("v2.3.4", "v2.3.5"), faulty, at(14, 28))
    it.release("deploy-b8e655", "catalog", ("v3.9.0", "v3.9.1"), catalog, at(14, 30))
    it.turn("checkout-gift-wrapping", "checkout", at(11, 45), "storefront team")
    it.truth = {
        "root_cause_service": "payments",
        "root_cause_change": faulty,
        "root_cause_deployment": "deploy-abc123",
        "category": "deployment_issue",
        "category_also": ["code_bug"],
        "blast_radius": ["checkout", "web"],
        "remediation": "rollback",
        "decoys": [catalog, web, ledger],
        "injected_at": stamp(ONSET),
        "dataset": "examples",
        "source": "made up for this project",
    }


def _metrics(it: Recording) -> None:
    for service, requests, errors, latency, cpu, memory in (
        ("web", 180, 0.002, 310, 38, 1450),
        ("checkout", 42, 0.003, 240, 31, 980),
        ("payments", 40, 0.002, 185, 35, 1120),
        ("ledger", 39, 0.001, 60, 22, 640),
        ("catalog", 160, 0.001, 45, 28, 890),
    ):
        failing = {"payments": 0.15, "checkout": 0.142, "web": 0.034}.get(service)
        errors_effect = from_then(ONSET, to=failing) if failing else from_then(ONSET)
        fewer = from_then(ONSET, times=0.85) if service == "ledger" else from_then(ONSET)
        it.series(service, "requests_per_second", requests, noise=0.04, daily=0.08, effect=fewer)
        it.series(service, "error_ratio", errors, noise=0.18, effect=errors_effect)
        it.series(service, "latency_p99_ms", latency, noise=0.06)
        it.series(service, "cpu_percent", cpu, noise=0.05, daily=0.05)
        it.series(service, "memory_mb", memory, noise=0.01)
    it.series("payments-db", "connections_used", 34, noise=0.07)
    it.series("payments-db", "cpu_percent", 27, noise=0.06)


def _logs(it: Recording) -> None:
    start, end = DAY + timedelta(hours=12, minutes=55), it.end
    spans = {"start": start, "end": end}
    it.chatter(
        "web", "info", 1.2, lambda r: f"GET /products/{r.randint(100, 999)} 200 in {r.randint(40, 290)} ms", **spans
    )
    it.chatter(
        "checkout", "info", 1.1, lambda r: f"order {r.randint(700000, 799999)} placed, {r.randint(1, 6)} items", **spans
    )
    it.chatter(
        "payments",
        "info",
        1.5,
        lambda r: f"charge ch_{r.getrandbits(40):010x} captured in {r.randint(90, 180)} ms",
        **spans,
    )
    it.chatter(
        "ledger",
        "info",
        0.8,
        lambda r: f"booked entry {r.randint(10**6, 10**7)} for account {r.randint(1000, 9999)}",
        **spans,
    )
    it.chatter("catalog", "info", 0.6, lambda r: f"cache refreshed: {r.randint(2000, 2400)} items", **spans)
    it.chatter(
        "payments",
        "warn",
        0.25,
        lambda r: f"charge ch_{r.getrandbits(40):010x} declined by issuer: insufficient funds",
        **spans,
    )
    it.chatter(
        "payments-db", "info", 0.15, lambda r: f"checkpoint complete: wrote {r.randint(200, 900)} buffers", **spans
    )
    it.chatter(
        "web",
        "error",
        0.05,
        lambda r: f"client closed connection while reading /products/{r.randint(100, 999)}",
        **spans,
    )
    it.log(DAY + timedelta(hours=14, minutes=28, seconds=4), "payments", "info", "payments v2.3.5 ready on 3 of 3 pods")
    it.log(DAY + timedelta(hours=14, minutes=30, seconds=9), "catalog", "info", "catalog v3.9.1 ready on 2 of 2 pods")
    it.log(
        ONSET - timedelta(seconds=1), "payments", "info", "validation rules refreshed: address_check on, 249 countries"
    )
    after = {"start": ONSET, "end": end}
    it.chatter(
        "payments",
        "error",
        8.0,
        lambda r: (
            f"POST /v1/charges 500: AttributeError: 'NoneType' object has no attribute 'country' "
            f"(payment/validation.py:87 in _check_billing_address) charge ch_{r.getrandbits(40):010x}"
        ),
        **after,
    )
    it.chatter(
        "checkout",
        "error",
        3.0,
        lambda r: f"payment for order {r.randint(700000, 799999)} failed: payments answered 500",
        **after,
    )
    it.chatter("web", "warn", 1.0, lambda r: f"checkout answered 502 for session {r.getrandbits(32):08x}", **after)


def _traces(it: Recording) -> None:
    at = DAY + timedelta(hours=13, minutes=50)
    while at < it.end:
        failed = at >= ONSET and it.random.random() < 0.15
        status = "error" if failed else "ok"
        spent = it.random.uniform(90, 170)
        chain = [
            ("web", "POST /checkout", spent + 60, status),
            ("checkout", "place order", spent + 35, status),
            ("payments", "POST /v1/charges", 12.0 if failed else spent, status),
        ]
        it.trace(at, chain if failed else [*chain, ("ledger", "book entry", spent * 0.3, "ok")])
        at += timedelta(seconds=it.random.randint(30, 50))
