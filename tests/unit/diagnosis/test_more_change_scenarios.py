# ruff: noqa: E501  (diffs and log lines stand as they are)
"""More changes against failures, of kinds that the first scenarios lack: each guilty one among the same decoys."""

from __future__ import annotations

import pytest

from tests.unit.diagnosis.test_change_scenarios import Case, told

CASES = {
    "tablelock": Case(
        "+ALTER TABLE payments ADD COLUMN region text NOT NULL DEFAULT 'eu';",
        ("payments/migrations/0101_region.sql",),
        ("canceling statement due to lock timeout on relation payments", "1,204 sessions waiting for AccessShareLock"),
    ),
    "gcpercent": Case(
        "-ENV GOGC=100\n+ENV GOGC=10",
        ("services/payments/Dockerfile",),
        ("GC cpu fraction 0.71, request latency p99 4.2s", "cpu throttled: garbage collection runs continuously"),
    ),
    "httpkeepalive": Case(
        "-\tMaxIdleConnsPerHost: 100,\n+\tDisableKeepAlives: true,",
        ("pkg/httpclient/client.go",),
        ("dial tcp 10.0.3.7:443: connect: cannot assign requested address", "TIME_WAIT sockets exhausted"),
    ),
    "breaker": Case(
        "-    failureRateThreshold: 50\n+    failureRateThreshold: 1",
        ("services/payments/config/resilience.yml",),
        ("CircuitBreaker 'ledger' is OPEN and does not permit further calls",),
    ),
    "shutdown": Case(
        "-  terminationGracePeriodSeconds: 60\n+  terminationGracePeriodSeconds: 1",
        ("deploy/payments/deployment.yaml",),
        (
            "request aborted: pod terminated while 37 requests in flight",
            "502 bad gateway: upstream closed connection during shutdown",
        ),
    ),
    "singleton": Case(
        "-    private final SimpleDateFormat format() { return new SimpleDateFormat(P); }\n+    private static final SimpleDateFormat FORMAT = new SimpleDateFormat(P);",
        ("payments/src/main/java/shop/Dates.java",),
        ("java.lang.NumberFormatException: multiple points at SimpleDateFormat.parse (Dates.java:31)",),
    ),
    "sortkey": Case(
        "-    ORDER BY created_at DESC LIMIT 50\n+    ORDER BY LOWER(customer_name) DESC LIMIT 50",
        ("payments/queries/list.sql",),
        ("slow query: ORDER BY LOWER(customer_name) took 11200 ms, external merge on disk",),
    ),
    "proto": Case(
        "-  string currency = 3;\n+  int32 currency = 3;",
        ("proto/payments/v1/charge.proto",),
        ("proto: cannot parse invalid wire-format data in field currency", "failed to unmarshal ChargeRequest"),
    ),
    "urlencode": Case(
        '-    path = "/accounts/" + quote(name)\n+    path = "/accounts/" + name',
        ("payments/accounts.py",),
        ("400 Bad Request: invalid path /accounts/Müller & Co", "upstream rejected malformed url"),
    ),
    "workers": Case(
        "-workers = 8\n+workers = 1",
        ("services/payments/gunicorn.conf.py",),
        ("request queue full: 512 waiting, all workers busy", "upstream timed out waiting for a free worker"),
    ),
    "buffering": Case(
        "-\tbufio.NewWriterSize(f, 1<<16)\n+\tf",
        ("services/payments/journal/writer.go",),
        ("journal fsync latency 900 ms, disk iops saturated",),
    ),
    "scope": Case(
        '-  scopes: ["payments.read", "payments.write"]\n+  scopes: ["payments.read"]',
        ("services/payments/config/oauth.yaml",),
        ("insufficient_scope: token lacks payments.write", "403 forbidden on POST /captures"),
    ),
    "defaultarg": Case(
        "-def settle(batch, dry_run=False):\n+def settle(batch, dry_run=True):",
        ("payments/settle.py",),
        ("settlement skipped: dry run, nothing written", "ledger total unchanged after settle"),
    ),
    "pool": Case(
        "-  maximumPoolSize: 50\n+  maximumPoolSize: 5",
        ("payments/src/main/resources/application.yml",),
        (
            "HikariPool-1 - Connection is not available, request timed out after 30000ms (total=5, active=5, idle=0, waiting=61)",
        ),
    ),
    "listener": Case(
        "-  server.listen(process.env.PORT || 8080);\n+  server.listen(9090);",
        ("services/payments/src/server.ts",),
        ("readiness probe failed: dial tcp 10.1.2.3:8080: connection refused",),
    ),
    "enumcase": Case(
        "-        case PARTIAL: return handlePartial(order);\n         case FULL: return handleFull(order);\n",
        ("payments/src/main/java/shop/RefundHandler.java",),
        ("java.lang.IllegalStateException: no handler for refund type PARTIAL at RefundHandler.java:58",),
    ),
    "n_plus_one": Case(
        "-    orders = Order.objects.select_related('customer').all()\n+    orders = Order.objects.all()",
        ("payments/reports/views.py",),
        ("slow request: 2,412 queries in /reports/orders", "statement pool saturated: too many queries from reports"),
    ),
    "unbounded_queue": Case(
        "-\tqueue := make(chan Event, 1000)\n+\tqueue := newUnboundedQueue()",
        ("services/payments/events/bus.go",),
        (
            "memory usage at 96% of limit, event queue holds 4,120,551 items",
            "OOMKilled: payments exceeded its memory limit",
        ),
        lead=80.0,
    ),
    "loglevel": Case(
        "-LOG_LEVEL=info\n+LOG_LEVEL=debug",
        ("deploy/payments/.env",),
        ("write /var/log/payments.log: no space left on device",),
        lead=70.0,
    ),
    "isolation": Case(
        "-    @Transactional(isolation = Isolation.READ_COMMITTED)\n+    @Transactional(isolation = Isolation.SERIALIZABLE)",
        ("payments/src/main/java/shop/TransferService.java",),
        ("could not serialize access due to concurrent update", "ERROR: deadlock detected while updating transfers"),
    ),
    "jsonfield": Case(
        "-    amount: number;\n+    amountMinor: number;",
        ("packages/payments-client/src/types.ts",),
        ("TypeError: Cannot read properties of undefined (reading 'amount')", "validation failed: amount is required"),
    ),
    "tlsmin": Case(
        "-  ssl_protocols TLSv1.2 TLSv1.3;\n+  ssl_protocols TLSv1.3;",
        ("deploy/nginx/payments.conf",),
        ("SSL_do_handshake() failed (SSL: error:1417D18C: unsupported protocol)",),
    ),
    "iam": Case(
        '-      "Action": ["s3:GetObject", "s3:PutObject"],\n+      "Action": ["s3:GetObject"],',
        ("infra/payments/policy.json",),
        ("AccessDenied: User is not authorized to perform: s3:PutObject on resource receipts",),
    ),
    "cron": Case(
        '-  schedule: "0 3 * * *"\n+  schedule: "* * * * *"',
        ("deploy/payments/cronjob.yaml",),
        (
            "database cpu at 100%: reconcile job running 14 times at once",
            "lock wait timeout exceeded; try restarting transaction (reconcile)",
        ),
    ),
    "goroutine_wait": Case(
        "-\tctx, cancel := context.WithTimeout(ctx, 2*time.Second)\n-\tdefer cancel()\n \tresp, err := client.Do(req)",
        ("services/payments/ledger/client.go",),
        (
            "9,412 goroutines blocked waiting on ledger response",
            "request queue full: ledger client calls never returned",
        ),
    ),
    "batchsize": Case(
        "-BATCH_SIZE = 500\n+BATCH_SIZE = 50000",
        ("payments/importer/settings.py",),
        (
            "packet for query is too large (71,303,168 > 67,108,864)",
            "MySQL server has gone away during bulk insert of batch",
        ),
    ),
    "headers": Case(
        '-    headers["X-Idempotency-Key"] = key\n',
        ("payments/gateway/client.rb",),
        (
            "duplicate charge detected: two captures without idempotency key",
            "gateway rejected request: missing X-Idempotency-Key",
        ),
    ),
    "rounddown": Case(
        "-    total = (price * Decimal('1.19')).quantize(CENT)\n+    total = float(price) * 1.19",
        ("payments/tax.py",),
        ("invoice total mismatch: expected 11.90, got 11.899999", "ledger rejected invoice: total not balanced"),
    ),
    "promise": Case(
        "-  const quote = await rates.fetch(pair);\n+  const quote = rates.fetch(pair);",
        ("services/payments/src/quote.ts",),
        ("TypeError: quote.price is not a number", "NaN amount rejected by ledger"),
    ),
    "unclosed": Case(
        "-        with session.begin() as tx:\n-            tx.add(entry)\n+        tx = session.begin()\n+        tx.add(entry)",
        ("payments/ledger/store.py",),
        ("QueuePool limit of size 20 overflow 10 reached, connection timed out",),
        lead=45.0,
    ),
    "acks": Case(
        "-  acks: all\n+  acks: 0",
        ("services/payments/config/kafka.yml",),
        ("settlement event lost: offset gap 991..1004 in topic settlements",),
    ),
    "upperlimit": Case(
        "-  client_max_body_size 50m;\n+  client_max_body_size 1m;",
        ("deploy/nginx/payments.conf",),
        ("client intended to send too large body: 7340032 bytes", "413 Request Entity Too Large for /invoices/upload"),
    ),
    "liveness": Case(
        "-  initialDelaySeconds: 60\n+  initialDelaySeconds: 2",
        ("deploy/payments/deployment.yaml",),
        (
            "Liveness probe failed: HTTP probe failed with statuscode: 503",
            "Back-off restarting failed container payments",
        ),
    ),
    "featureremoved": Case(
        "-app.get('/v1/refunds/:id', refundHandler);\n+app.get('/v2/refunds/:id', refundHandler);",
        ("services/payments/src/routes.js",),
        ("404 Not Found: GET /v1/refunds/8812", "checkout: refund lookup returned 404"),
    ),
    "sampling": Case(
        "-  traces_sample_rate: 0.01\n+  traces_sample_rate: 1.0",
        ("services/payments/config/tracing.yaml",),
        ("exporter queue is full, dropping spans", "cpu saturated in span exporter"),
    ),
    "order": Case(
        "-    charge = gateway.charge(order)\n-    db.save(order)\n+    db.save(order)\n+    charge = gateway.charge(order)",
        ("payments/flow.py",),
        ("order saved without charge: charge_id is null", "violates not-null constraint on charge_id"),
    ),
    "hash": Case(
        "-    cost_factor = 10\n+    cost_factor = 16",
        ("payments/auth/password.py",),
        ("login took 9,100 ms, cpu at 100% in bcrypt", "worker timeout: password verification too slow"),
    ),
    "swallow": Case(
        "-    except GatewayError as error:\n-        raise PaymentFailed(error)\n+    except Exception:\n+        pass",
        ("payments/gateway.py",),
        ("capture missing for 41 orders: payment state unknown", "reconciliation mismatch: 41 orders without capture"),
    ),
    "semver": Case(
        '-    "stripe": "12.18.0",\n+    "stripe": "14.1.0",',
        ("services/payments/package.json",),
        ("TypeError: stripe.charges.createLegacy is not a function",),
    ),
    "secretname": Case(
        "-            name: payments-db-credentials\n+            name: payments-db-creds",
        ("deploy/payments/deployment.yaml",),
        ('Error: secret "payments-db-creds" not found', "CreateContainerConfigError"),
    ),
    "recursion": Case(
        "-    if depth > MAX_DEPTH:\n-        return []\n     return walk(node.children, depth + 1)",
        ("payments/tree.py",),
        ("RecursionError: maximum recursion depth exceeded in walk",),
    ),
    "pagesize": Case(
        "-const PAGE = 200;\n+const PAGE = 20000;",
        ("services/payments/src/list.ts",),
        ("JavaScript heap out of memory while building page of payments",),
    ),
}
NOT_A_CHANGE = {
    "clock": (
        "token used before issued: clock skew of 412s between nodes",
        "time synchronisation lost: ntp offset 410 s",
    ),
    "disk_hw": (
        "I/O error, dev nvme1n1, sector 1812: medium error",
        "filesystem remounted read-only after disk failure",
    ),
    "lb": ("upstream connect error: cloud load balancer target group has no healthy targets in zone eu-west-1b",),
    "cdn": ("edge-cdn returned 520 for origin pulls", "CDN provider incident: purge API unavailable"),
    "sms": ("POST https://sms.gateway-example.com/send returned 502 bad gateway",),
    "dbmaint": (
        "terminating connection due to administrator command",
        "database is in recovery mode: maintenance window failover",
    ),
    "ddos": (
        "rate limiter rejected 48,221 requests from 203.0.113.0/24",
        "too many requests: suspicious traffic from botnet",
    ),
}


@pytest.mark.parametrize("name", sorted(CASES))
def test_the_guilty_change_is_found(name: str) -> None:
    diagnosis = told(CASES[name])
    assert diagnosis.root_cause_change == "a" * 40, [h.description for h in diagnosis.hypotheses]
    assert diagnosis.root_cause_deployment == "payments-guilty"


@pytest.mark.parametrize("name", sorted(CASES))
def test_the_same_change_is_not_convicted_of_another_failure(name: str) -> None:
    """Its failure's lines are replaced by those of something that no change can do."""
    case = CASES[name]
    other = Case(case.diff, case.files, NOT_A_CHANGE["sms"], lead=case.lead)
    assert told(other).root_cause_change in {None, "none"}


@pytest.mark.parametrize("name", sorted(NOT_A_CHANGE))
def test_no_change_is_blamed_where_the_lines_name_another_cause(name: str) -> None:
    harmless = Case("-\told\n+\told", ("services/payments/handler.go",), NOT_A_CHANGE[name])
    assert told(harmless).root_cause_change == "none"
