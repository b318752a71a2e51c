# ruff: noqa: E501  (diffs and log lines stand as they are)
"""Changes against failures that they could, and could not, have caused: small scenarios, written for this test."""

from __future__ import annotations

from dataclasses import dataclass, field

import pytest

from incident_pipeline.config import Scenario
from incident_pipeline.diagnosis.engine import diagnose
from incident_pipeline.models import CodeChange, Deployment, Diagnosis, LogEntry, Service
from tests.unit.diagnosis.builders import at, deployment, evidence, incident, log, series

QUIET = [0.01, 0.012, 0.009, 0.011, 0.01, 0.0105] * 20
GRAPH = [
    Service(name="checkout", depends_on=("payments", "catalog")),
    Service(name="payments"),
    Service(name="catalog"),
]
DECOYS = [
    ("tidy", ("services/payments/handler.go",), "-\treturn old(a, b)\n+\tresult := old(a, b)\n+\treturn result"),
    ("docs: explain refunds", ("docs/refunds.md",), "+Refunds take a day."),
    ("chore: bump dependencies", ("go.mod",), "-\texample.org/log v1.4.1\n+\texample.org/log v1.4.2"),
]


@dataclass
class Case:
    """A guilty change among innocent ones, and the lines by which the failure shows."""

    diff: str
    files: tuple[str, ...]
    lines: tuple[str, ...]
    lead: float = 6.0
    """Minutes between the guilty deployment and the first line."""
    message: str = "refactor: simplify"
    quiet_lines: tuple[str, ...] = ("request served in 12 ms",)
    decoy_after: bool = True
    extra: dict[str, list[float]] = field(default_factory=dict)


CASES = {
    "lock": Case(
        "-\tmu.Lock()\n-\tdefer mu.Unlock()\n \tcounts[id]++",
        ("services/payments/counter.go",),
        ("fatal error: concurrent map writes at counter.go:41",),
    ),
    "timeout": Case(
        "-  connect_timeout: 3s\n+  connect_timeout: 30ms",
        ("services/payments/config/db.yaml",),
        ("database connect timed out after 30ms", "could not load account: deadline exceeded"),
    ),
    "leak": Case(
        "-\tdefer rows.Close()\n \tfor rows.Next() {",
        ("services/payments/store/orders.go",),
        ("too many open files: cannot accept connection", "accept: too many open files"),
        lead=100.0,
    ),
    "null": Case(
        "-    if customer is None:\n-        return default_address()\n+    address = customer.address\n",
        ("payments/address.py",),
        ("AttributeError: 'NoneType' object has no attribute 'address' (address.py line 12)",),
    ),
    "column": Case(
        "+ALTER TABLE ledger DROP COLUMN legacy_rate;",
        ("services/payments/migrations/0042_drop_rate.sql",),
        ("ERROR: column ledger.legacy_rate does not exist (SQLSTATE 42703)",),
    ),
    "cache": Case(
        "-  rate_cache_ttl: 3600\n+  rate_cache_ttl: 1",
        ("services/payments/config/cache.yaml",),
        ("rate cache miss storm: origin overloaded", "slow query: rates lookup took 4000 ms"),
    ),
    "memory": Case(
        "-      memory: 512Mi\n+      memory: 64Mi",
        ("deploy/payments/values.yaml",),
        ("container killed: out of memory (limit 64Mi)", "OOMKilled: payments exceeded its memory limit"),
    ),
    "batch": Case(
        "-    repo.save_all(chunked(orders, 100))\n+    for order in orders:\n+        repo.save(order)\n",
        ("payments/jobs/settle.py",),
        ("write rate exceeded: throttled by the table", "too many requests: throttling settle job"),
    ),
}
CASES |= {
    "endpoint": Case(
        "-  ledger_url: http://ledger.prod.svc:8080\n+  ledger_url: http://ledger-v2.prod.svc:8080",
        ("services/payments/config/app.yaml",),
        ("dial tcp: lookup ledger-v2.prod.svc: no such host",),
    ),
    "auth": Case(
        '-\treq.Header.Set("Authorization", "Bearer "+token)\n+\treq.Header.Set("X-Auth", token)',
        ("pkg/httpclient/auth.go",),
        ("upstream ledger returned 401 unauthorized: missing bearer token",),
    ),
    "retries": Case(
        "-var policy = Retry{Max: 3, Backoff: 200 * time.Millisecond}\n+var policy = Retry{Max: 50}",
        ("pkg/retry/policy.go",),
        ("ledger overloaded: too many requests, retry storm", "429 too many requests from ledger"),
    ),
    "regex": Case(
        '-\treturn strings.Contains(s, "@")\n+\treturn regexp.MustCompile(`^(([a-z])+.)+[A-Z]([a-z])+$`).MatchString(s)',
        ("services/payments/validate/email.go",),
        ("worker stuck in validation for 30s, cpu saturated", "request timeout: handler did not finish, cpu at 100%"),
    ),
    "index": Case(
        "-CREATE INDEX idx_orders_customer ON orders(customer_id);\n+DROP INDEX idx_orders_customer;",
        ("payments/migrations/0077.sql",),
        ("slow query: SELECT * FROM orders WHERE customer_id took 8200 ms (seq scan)", "statement timeout on orders"),
    ),
    "threads": Case(
        "-  worker_threads: 64\n+  worker_threads: 2",
        ("services/payments/config/server.yaml",),
        ("request queue full: 2 workers busy, backlog 900",),
    ),
    "nplus1": Case(
        '-    orders = Order.objects.select_related("customer").all()\n+    orders = Order.objects.all()\n+    for o in orders:\n+        o.customer = db.fetch_customer(o.customer_id)',
        ("payments/views/orders.py",),
        ("database connection pool exhausted: 1200 queries in one request", "slow queries: orders view"),
    ),
    "rename": Case(
        '-\tAmount int `json:"amount"`\n+\tAmount int `json:"amountCents"`',
        ("pkg/api/charge.go",),
        ("cannot unmarshal charge: unexpected field amountCents", "400 bad request: missing field amount"),
    ),
    "cert": Case(
        "-  ca_bundle: /etc/ssl/internal-ca.pem\n+  ca_bundle: /etc/ssl/certs.pem",
        ("services/payments/config/tls.yaml",),
        ("x509: certificate signed by unknown authority",),
    ),
    "ratelimit": Case(
        "-  rate_limit_rps: 500\n+  rate_limit_rps: 50",
        ("services/payments/config/limits.yaml",),
        ("rate limit exceeded: 429 for tenant 12", "request rejected by limiter (50 rps)"),
    ),
    "goroutine": Case(
        "-\tsem <- struct{}{}\n-\tdefer func() { <-sem }()\n+\tgo func() { process(job) }()",
        ("services/payments/worker.go",),
        ("runtime: out of memory: cannot allocate; 250000 goroutines", "container OOMKilled"),
        lead=60,
    ),
    "panic": Case(
        "-\tif idx < len(items) {\n-\t\treturn items[idx], nil\n-\t}\n-\treturn Item{}, ErrNotFound\n+\treturn items[idx], nil",
        ("services/payments/items.go",),
        ("panic: runtime error: index out of range [5] with length 5",),
    ),
    "replicas": Case(
        "-  replicas: 12\n+  replicas: 3",
        ("deploy/payments/values.yaml",),
        ("cpu saturated, request queue backlog growing", "503 no healthy upstream: overloaded"),
    ),
    "kafka": Case(
        "-  max_poll_records: 500\n-  max_poll_interval_ms: 300000\n+  max_poll_records: 5000\n+  max_poll_interval_ms: 10000",
        ("services/payments/config/consumer.yaml",),
        (
            "consumer left the group: max poll interval exceeded, rebalancing",
            "consumer lag growing on topic settlements",
        ),
    ),
    "feature": Case(
        "-  use_new_ledger: false\n+  use_new_ledger: true",
        ("services/payments/config/features.yaml",),
        ("new ledger: unsupported currency XAU", "ledger write failed: not implemented"),
    ),
}


def told(case: Case) -> Diagnosis:
    start = -case.lead - 2
    changes = [
        CodeChange(sha="a" * 40, message=case.message, files=case.files, diff=case.diff, committed_at=at(start - 10)),
        *(
            CodeChange(sha=f"{i}" * 40, message=m, files=f, diff=d, committed_at=at(start + 1 - i))
            for i, (m, f, d) in enumerate(DECOYS, start=1)
        ),
    ]
    deployments: list[Deployment] = [deployment("payments-guilty", start, commit_sha="a" * 40)]
    if case.decoy_after:
        deployments.append(deployment("payments-later", -2.5, commit_sha="1" * 40))
    logs: list[LogEntry] = [log(-180 + i, m, level="info") for i in range(0, 170, 2) for m in case.quiet_lines]
    logs += [log(-2 + i * 0.2, m, "payments") for i in range(12) for m in case.lines]
    logs += [log(-1.5 + i * 0.3, "upstream payments returned 500", "checkout") for i in range(6)]
    metrics = [
        series("payments", "error_rate", [*QUIET, 0.3, 0.4, 0.4, 0.45, 0.4], start=-122),
        series("checkout", "error_rate", [*QUIET, 0.01, 0.2, 0.2, 0.22, 0.2], start=-122),
        series("catalog", "error_rate", [*QUIET, *QUIET[:5]], start=-122),
    ]
    found = evidence(deployments, changes, [], metrics, logs, [], [], GRAPH)
    return diagnose(incident("checkout", "Checkout errors"), found, Scenario())


@pytest.mark.parametrize("name", sorted(CASES))
def test_the_guilty_change_is_found_and_the_later_deployment_is_not_blamed(name: str) -> None:
    diagnosis = told(CASES[name])
    assert diagnosis.root_cause_change == "a" * 40, [h.description for h in diagnosis.hypotheses]
    assert diagnosis.root_cause_deployment == "payments-guilty"
    assert diagnosis.first_failing_service == "payments"
    assert "checkout" in diagnosis.blast_radius
    assert "catalog" not in diagnosis.blast_radius


def test_the_evidence_names_the_edit_and_the_line() -> None:
    primary = told(CASES["timeout"]).primary
    assert primary is not None
    text = "\n".join(primary.evidence)
    assert "sets connect_timeout from 3s to 30ms" in text
    assert "deadline exceeded" in text or "timed out" in text
    assert primary.description == "Recent deployment (payments-guilty at 14:27 UTC)"


NOT_A_CHANGE = {
    "third party": (
        "POST https://api.partner-bank.com/v2/transfers returned 503",
        "POST https://api.partner-bank.com/v2/transfers exceeded deadline",
    ),
    "dns": ("lookup ledger-db.internal on 10.0.0.2:53: no such host", "name resolution failed for ledger-db.internal"),
    "certificate": ("x509: certificate has expired or is not yet valid: current time is after NotAfter",),
    "node": (
        "Node pool-a-17 MemoryPressure; co-tenant working set 12GiB",
        "node pool-a-17 under heavy load, cpu contended by another pod",
    ),
}
NOT_A_CHANGE |= {
    "surge": ("load shed: too many requests from crawler bot", "overloaded: flash sale traffic spike"),
    "quota": ("RESOURCE_EXHAUSTED: quota exceeded for project payments", "daily limit reached for provider API"),
    "baddata": (
        "poison message in topic settlements: malformed record at offset 9912",
        "cannot parse partner feed row: unexpected column count",
    ),
    "partition": ("packet loss 40% to zone b", "no route to host 10.2.3.4"),
    "failover": ("database primary changed: failover in progress", "cannot execute INSERT in a read-only transaction"),
    "spot": ("Node ip-10-1-2-3 is not ready: spot interruption", "NodeNotReady: pods evicted"),
    "region": (
        "s3 PutObject failed: InternalError region=eu-west-1",
        "dynamodb PutItem failed: ServiceUnavailable region=eu-west-1",
    ),
    "credential": ("ExpiredToken: the security token included in the request has expired",),
    "provider": ("upstream provider maps-api unavailable: 503", "vendor geocoder timed out after 5s"),
}


@pytest.mark.parametrize("name", sorted(NOT_A_CHANGE))
def test_no_change_is_blamed_where_the_lines_name_another_cause(name: str) -> None:
    harmless = Case("-\told\n+\told", ("services/payments/handler.go",), NOT_A_CHANGE[name])
    diagnosis = told(harmless)
    assert diagnosis.root_cause_change == "none", [(h.description, h.confidence) for h in diagnosis.hypotheses]


def test_innocent_changes_alone_convict_nobody() -> None:
    vague = Case(
        "-\treturn fee\n+\treturn fee.rounded()",
        ("services/catalog/fee.go",),
        ("request failed with status 500",),
    )
    assert told(vague).root_cause_change != "a" * 40


def test_a_change_after_the_first_sign_is_never_convicted() -> None:
    late = Case(CASES["lock"].diff, CASES["lock"].files, CASES["lock"].lines, lead=-4.0, decoy_after=False)
    assert told(late).root_cause_change is None


def test_changes_that_nobody_could_list_are_not_acquitted() -> None:
    metrics = [series("payments", "error_rate", [*QUIET, 0.3, 0.4, 0.4], start=-122)]
    lines = [log(-1 + i * 0.1, NOT_A_CHANGE["third party"][0]) for i in range(9)]
    diagnosis = diagnose(incident(), evidence(metrics=metrics, logs=lines), Scenario())
    assert diagnosis.root_cause_change is None
