# ruff: noqa: E501  (the tables of patterns read best with one pattern a line)
"""How a change becomes a failure: which edits, showing themselves in which words, at once or after a while.

Belongs here: the table of mechanisms. Does not belong here: matching it against an incident (`change_matching`).

A mechanism needs both halves: the edit in the diff, and its words in the logs, traces, series or alerts.
"""

from __future__ import annotations

import re
from dataclasses import dataclass

from incident_pipeline.models import Category

_CODE, _CONFIG, _CAPACITY = Category.CODE_BUG, Category.CONFIGURATION_ERROR, Category.CAPACITY_PROBLEM


@dataclass(frozen=True)
class Mechanism:
    """One way from an edit to a failure."""

    slug: str
    edits: frozenset[str]
    symptoms: re.Pattern[str]
    category: Category
    accumulates: bool = False
    """Grows until something is full: the change may lie long before the onset."""


def _mechanism(
    slug: str, edits: str, symptoms: str, category: Category = _CODE, accumulates: bool = False
) -> Mechanism:
    return Mechanism(slug, frozenset(edits.split()), re.compile(symptoms, re.IGNORECASE), category, accumulates)


MECHANISMS: tuple[Mechanism, ...] = (
    _mechanism(
        "race_condition",
        "lock_removed transaction_removed concurrency_raised",
        r"concurrent (map|modification|access|write|read)|data race|\brace\b|ConcurrentModification|duplicate (key|charge|"
        r"order|entry)|double[- ](charge|spend|book)|oversold|lost update|inconsistent|negative (stock|balance)|torn|SIGSEGV",
    ),
    _mechanism(
        "deadlock",
        "lock_added transaction_removed transaction_changed schema_changed schedule_changed",
        r"deadlock|lock wait|lock timeout|could not serialize|concurrent update|blocked|all goroutines are asleep|could not obtain lock|LockAcquire|contention",
    ),
    _mechanism(
        "connection_pool_exhausted",
        "limit_lowered limit_removed concurrency_raised concurrency_lowered cleanup_removed timeout_removed "
        "call_in_loop bound_removed",
        r"pool|too many (connections|clients)|acquir\w+ connection|connection limit|max_connections|remaining connection "
        r"slots|HikariPool|in_use",
        _CONFIG,
        accumulates=True,
    ),
    _mechanism(
        "retry_budget_lowered",
        "retries_lowered retry_removed backoff_removed retries_removed retries_changed backoff_lowered",
        r"retr(y|ies)|attempts?\b|budget|gave up|giving up|CAS\b|conflict|leader|transient|exhausted",
        _CONFIG,
    ),
    _mechanism(
        "retry_storm",
        "retries_raised retry_added backoff_removed backoff_lowered timeout_lowered",
        r"retr(y|ies)|storm|amplif|overload|too many requests|429|rate.?limit|thundering|queue full|saturat",
        _CONFIG,
    ),
    _mechanism(
        "timeout_too_short",
        "timeout_lowered timeout_changed timeout_nudged",
        r"time[d]?[ -]?out|deadline exceeded|context cancel|504|ETIMEDOUT|canceled",
        _CONFIG,
    ),
    _mechanism(
        "timeout_missing",
        "timeout_removed timeout_raised blocking_added",
        r"time[d]?[ -]?out|deadline|hang|hung|stuck|thread.?pool|worker.*(busy|exhaust)|blocked|starv|queue",
    ),
    _mechanism(
        "disk_full",
        "log_volume_raised cleanup_removed bound_removed ttl_raised ttl_removed retention_raised limit_raised "
        "schedule_changed unbounded_growth",
        r"no space left|disk (full|pressure|usage|used)|ENOSPC|read-only file ?system|volume|filesystem|inode|disk_used",
        _CONFIG,
        accumulates=True,
    ),
    _mechanism(
        "log_volume",
        "log_volume_raised",
        r"log.*(throughput|volume|ingest|rate|quota|lag|drop)|ingest|backpressure|buffer|drop\w* (spans?|traces?|logs?|events?)|"
        r"span exporter|exporter (queue|timeout)",
        _CONFIG,
        accumulates=True,
    ),
    _mechanism(
        "throughput_exceeded",
        "batching_removed call_in_loop cache_removed batch_lowered ttl_lowered cache_disabled",
        r"throughput|throttl|capacity|rate exceeded|429|too many requests|quota|write units|read units|TooManyRequests|"
        r"slow ?down|PutItem|single-item",
    ),
    _mechanism(
        "memory_leak",
        "cleanup_removed bound_removed unbounded_growth ttl_removed ttl_raised limit_raised memory_raised limit_removed",
        r"out of memory|oom|heap|memory|\brss\b|GC (overhead|pause|thrash)|evict|allocation fail|137",
        _CODE,
        accumulates=True,
    ),
    _mechanism(
        "memory_limit_too_low",
        "resources_lowered limit_lowered resources_changed",
        r"oom|out of memory|memory|killed|137|heap",
        _CONFIG,
    ),
    _mechanism(
        "cpu_limit_too_low",
        "resources_lowered replicas_lowered concurrency_lowered limit_lowered",
        r"throttl|cpu|saturat|queue|backlog|starv|overload|latency|slow",
        _CONFIG,
    ),
    _mechanism(
        "resource_leak",
        "cleanup_removed unbounded_growth concurrency_raised",
        r"too many open files|EMFILE|file descriptor|\bfds?\b|goroutine|thread|socket|leak|ephemeral port|cannot assign "
        r"requested address|handle",
        _CODE,
        accumulates=True,
    ),
    _mechanism(
        "cache_stampede",
        "cache_removed ttl_lowered ttl_changed ttl_removed limit_lowered switch_turned switch_changed cache_changed value_changed",
        r"cache|miss|stampede|hit.?rat|redis|memcache|thundering|origin|database.*(load|cpu)|slow quer|db.*latency",
        _CONFIG,
    ),
    _mechanism(
        "stale_data",
        "ttl_raised cache_changed cleanup_removed ttl_changed ttl_removed",
        r"stale|outdated|old (price|value|data|version)|inconsisten|expired|mismatch|cache",
        _CONFIG,
        accumulates=True,
    ),
    _mechanism(
        "slow_query",
        "index_removed query_changed schema_changed call_in_loop cache_removed",
        r"slow quer|full (table )?scan|seq(uential)? scan|query (time|duration|latency)|\bdb\b|database|sql|lock wait|"
        r"statement timeout|rows examined|replica(tion)? lag|n\+1|queries",
        _CODE,
        accumulates=True,
    ),
    _mechanism(
        "schema_mismatch",
        "schema_changed type_changed format_changed query_changed literal_changed",
        r"column|relation|table .*exist|unknown field|no such (column|table)|schema|migration|violates|null value|SQLSTATE|"
        r"constraint|duplicate key",
    ),
    _mechanism(
        "bad_serialization",
        "type_changed format_changed literal_changed header_changed check_removed value_changed precision_removed endpoint_changed dependency_major dependency_minor",
        r"pars(e|ing)|unmarshal|deseriali|decode|invalid (json|character|format|type|utf|date|timestamp)|schema|unexpected "
        r"(token|end|field|type)|malformed|415|400|422|bad request|cannot convert|ClassCast|type mismatch|protobuf|avro",
    ),
    _mechanism(
        "missing_check",
        "check_removed error_handling_removed null_introduced bound_removed await_removed order_changed code_changed",
        r"is not a (function|number|constructor)|\bNaN\b|recursion|stack ?overflow|StackOverflow|is null\b|not-null|nil pointer|null ?pointer|NoneType|undefined is not|cannot read propert|index out of (range|bounds)|KeyError|"
        r"AttributeError|TypeError|panic|segfault|SIGSEGV|division by zero|divide by zero|unhandled|uncaught|assert|"
        r"IllegalArgument|IllegalState|NullReference|overflow|unwrap",
    ),
    _mechanism(
        "validation_rejects",
        "check_removed null_introduced regex_changed format_changed code_changed limit_lowered switch_changed",
        r"validation|invalid|reject|malformed|bad request|\b4(00|22)\b|not allowed|constraint",
    ),
    _mechanism(
        "catastrophic_regex",
        "regex_changed",
        r"cpu|regex|backtrack|stuck|event loop|timeout|starv|hang|catastrophic",
    ),
    _mechanism(
        "cpu_heavy_code",
        "compute_added call_in_loop cache_removed regex_changed batching_removed cost_raised concurrency_raised",
        r"cpu|saturat|event loop|starv|throttl|gc |hot ?loop|spin",
    ),
    _mechanism(
        "certificate_problem",
        "tls_changed tls_removed auth_changed endpoint_changed",
        r"certificate|x509|tls|ssl|handshake|cert |unknown authority|self.signed|expired",
        _CONFIG,
        accumulates=True,
    ),
    _mechanism(
        "auth_broken",
        "auth_changed auth_removed auth_nudged header_changed tls_changed",
        r"\b40[13]\b|unauthori[sz]ed|forbidden|permission|access ?denied|jwt|token|signature|credential|auth|issuer|audience|"
        r"csrf|cors",
        _CONFIG,
    ),
    _mechanism(
        "header_lost",
        "header_changed literal_changed auth_removed check_removed endpoint_changed",
        r"header|content-type|cors|cookie|x-[a-z]+|413|431|tenant|idempotency|trace ?context|missing .*(id|header)",
    ),
    _mechanism(
        "wrong_endpoint",
        "endpoint_changed literal_changed dns_changed network_policy_changed",
        r"connection refused|no such host|unknown host|name resolution|dns|lookup|ECONNREFUSED|ENOTFOUND|404|not found|"
        r"no route|unreachable|reset by peer|wrong (region|bucket|topic)|NoSuchBucket|UnknownTopic",
        _CONFIG,
    ),
    _mechanism(
        "rate_limit_too_low",
        "limit_lowered bound_removed limit_changed batch_lowered",
        r"rate.?limit|429|too many requests|throttl|quota|rejected|limit (exceeded|reached)|shed",
        _CONFIG,
    ),
    _mechanism(
        "queue_backlog",
        "concurrency_lowered batch_lowered limit_lowered replicas_lowered blocking_added retry_removed batching_removed "
        "concurrency_changed limit_changed batch_changed ttl_raised batch_raised",
        r"backlog|queue|lag\b|consumer|rebalanc|dead.?letter|dlq|poll interval|unprocessed|backpressure|buffer",
        _CONFIG,
        accumulates=True,
    ),
    _mechanism(
        "too_few_replicas",
        "replicas_lowered replicas_changed resources_raised",
        r"unschedul|insufficient|overload|saturat|503|no (healthy|available) (upstream|endpoint)|cpu|queue",
        _CONFIG,
    ),
    _mechanism(
        "overload_by_concurrency",
        "concurrency_raised limit_raised limit_removed batch_raised retries_raised bound_removed schedule_changed",
        r"too many|overload|saturat|exhaust|throttl|connection|contention|429|oom|memory|cpu",
        _CONFIG,
    ),
    _mechanism(
        "dependency_regression",
        "dependency_major dependency_minor",
        r"is not a (function|constructor)|has no attribute|cannot import|unknown (method|option|property)|NoSuchMethod|NoClassDef|ImportError|ModuleNotFound|undefined (method|symbol)|incompatible|deprecated|LinkageError|"
        r"version|breaking|GLIBC",
    ),
    _mechanism(
        "probe_too_strict",
        "probe_lowered probe_changed timeout_lowered backoff_lowered",
        r"probe failed|liveness|readiness|startup probe|restarting failed container|crashloop|unhealthy",
        _CONFIG,
    ),
    _mechanism(
        "circuit_opens",
        "limit_lowered timeout_lowered limit_changed retries_lowered batch_lowered",
        r"circuit.?breaker|circuit (is )?open|is open and does not permit|short.?circuit|outlier.?(detect|eject)",
        _CONFIG,
    ),
    _mechanism(
        "cut_off_at_shutdown",
        "timeout_lowered timeout_removed probe_lowered cleanup_removed",
        r"in.?flight|terminated while|(during|on) shutdown|draining|SIGTERM|closed (the )?connection|connection closed",
        _CONFIG,
    ),
    _mechanism(
        "small_writes",
        "buffering_removed batching_removed batch_lowered",
        r"iops|fsync|disk (latency|busy|saturat)|write (latency|amplif)|syscall|small writes|flush",
    ),
    _mechanism(
        "writes_lost",
        "durability_lowered durability_changed error_swallowed transaction_removed order_changed await_removed retry_removed",
        r"\blost\b|missing|\bgap\b|unknown state|state unknown|without|mismatch|never (arriv|deliver|receiv|captur)|not (found|persisted|committed)|inconsisten",
    ),
    _mechanism(
        "payload_too_large",
        "batch_raised limit_raised limit_lowered limit_removed bound_removed batching_removed",
        r"too (large|big|long)|\b413\b|max_allowed_packet|exceed\w* (the )?(max\w*|size|limit)|message size|payload size",
        _CONFIG,
    ),
    _mechanism(
        "precision_lost",
        "precision_removed",
        r"mismatch|expected .{1,40} (got|but|was)|not balanced|off by|rounding|precision|inexact|overflow|wrong (amount|total|price|sum)",
    ),
    _mechanism(
        "time_or_unit_mistake",
        "format_changed code_changed value_changed ttl_changed",
        r"time ?zone|\butc\b|clock|skew|\bdst\b|rounding|precision|overflow|negative (duration|amount)|off by|\bnan\b|wrong (amount|price)",
    ),
    _mechanism(
        "feature_switched",
        "switch_turned switch_changed value_changed",
        r"flag|feature|unsupported|not (enabled|implemented)|disabled|mode",
        _CONFIG,
    ),
)
