"""The kinds of edit, and the words by which each is told: in removed lines, in added ones, in the name of a setting.

Belongs here: the tables, and what an edit is. Does not belong here: reading a diff with them (`edits`, `line_edits`,
`value_edits`), or what an edit can break (`mechanisms`). Nothing here knows a language or an application.
"""

# ruff: noqa: E501  (the tables of patterns read best with one pattern a line)
from __future__ import annotations

import re
from dataclasses import dataclass
from functools import lru_cache


@dataclass(frozen=True)
class Edit:
    """One thing a change does: its kind, where, and the words to show a person."""

    kind: str
    path: str
    detail: str


HARMLESS = frozenset({"elsewhere", "docs", "test", "ci", "style", "logging_text", "comment", "moved_code"})
"""Kinds that do not change what runs, or hardly."""


def rx(pattern: str) -> re.Pattern[str]:
    """A pattern that is found on any line, in either case."""
    return re.compile(pattern, re.IGNORECASE | re.MULTILINE)


def _lower(pattern: str) -> re.Pattern[str]:
    """A pattern for text in lower case: twice as fast to look for as either case is."""
    return re.compile(pattern.lower(), re.MULTILINE)


PATHS: tuple[tuple[str, re.Pattern[str]], ...] = (
    ("test", re.compile(r"(^|/)(tests?|testdata|spec|__tests__|fixtures|e2e)/|_test\.|\.test\.|_spec\.|test_[^/]*$")),
    (
        "ci",
        re.compile(
            r"(^|/)(\.github|\.circleci|\.gitlab|\.buildkite|ci)/|codeowners$|\.golangci|jenkinsfile|\.gitignore$"
        ),
    ),
    ("docs", re.compile(r"\.(md|rst|adoc|txt)$|(^|/)(docs?|documentation|changelog|license)(/|$)")),
    (
        "elsewhere",
        re.compile(
            r"(^|/)(staging|stage|dev|development|sandbox|local|qa|preprod)(/|\.ya?ml$|\.json$)|[-_.](staging|dev|local)\."
        ),
    ),
    ("style", re.compile(r"\.(css|scss|less|svg|png|ico)$")),
)
DEPENDENCY = re.compile(
    r"(^|/)(go\.(mod|sum)|package(-lock)?\.json|yarn\.lock|pnpm-lock\.yaml|requirements[^/]*\.txt|poetry\.lock|uv\.lock|"
    r"pyproject\.toml|cargo\.(toml|lock)|pom\.xml|build\.gradle(\.kts)?|gemfile(\.lock)?|composer\.(json|lock))$"
)
LOG_CALL = rx(r"\b(log(ger|ging)?|slog|zap|logrus|console|LOG_\w+|fmt\.Print\w*|print(ln|f)?|tracing::\w+)\s*[.(!]")
MONITORING = rx(
    r"\b(prometheus|counter|gauge|histogram|metrics?_?|span|otel|tracer|telemetry|statsd)\b|SetAttributes|\.inc\("
)
# Looked for in lower case. An edit is named where the pattern is found in removed lines and not in as many added ones, or the other way round.
REMOVED: tuple[tuple[str, re.Pattern[str]], ...] = (
    ("lock_removed", _lower(r"\b(mutex|rwmutex|rwlock|synchronized|with\s+\w*lock|ReentrantLock|lock_guard|ConcurrentHashMap|sync\.Map|Interlocked|AtomicInteger|select_for_update|FOR UPDATE|SETNX|advisory_lock)\b|\.r?lock\(\)|\.unlock\(\)|\.acquire\(")),
    ("batching_removed", _lower(r"batch|bulk|chunk|executemany|insertmany|pipeline\(|multi_?get|mget|prefetch|select_related|dataloader|\bjoin\(|includes\(")),
    ("cache_removed", _lower(r"\bcache|memoi[sz]e|lru_|singleflight|\bmemo\b|@cached|redis\.get|getfromcache|etag|max-age")),
    ("cleanup_removed", _lower(r"\b(close|release|dispose|cancel|shutdown|unsubscribe|free|cleanup|evict|expire|purge|truncate|rotate|vacuum|unregister|removeListener|clearInterval|defer|finally|stop)\b\s*\(?|\.del(ete)?\(|using\s*\(|with\s+[\w.]+\(.*\)\s*(as\b|:)|delete\(")),
    ("bound_removed", _lower(r"\b(limit|max\w*|cap|capacity|bounded|maxsize|semaphore|throttle|ratelimit|rate_limit|page_?size|LIMIT\s+\d+|ttl|expir\w*|evict\w*|truncat\w*|backpressure|maxlen|setlimit)\b|len\(\w+\)\s*[><]=?")),
    ("timeout_removed", _lower(r"timeout|deadline|withtimeout|context\.with|setdeadline|abortsignal")),
    ("backoff_removed", _lower(r"back_?off|jitter|time\.sleep|\bsleep\(|base_?delay|exponential|retry_?after")),
    ("retry_removed", _lower(r"\bretr(y|ies)|max_?attempts|for\s+attempt|tenacity|circuit_?breaker|fallback")),
    ("check_removed", _lower(r"^\s*(\}?\s*else\s+)?(if|unless|elif|guard|when)\b|\bassert|\bvalidate|\brequire\(|isinstance|\?\.|\bguard\b|len\(\w+\)\s*(==|>|<|!=)\s*\d|isEmpty|Optional|unwrap_or|\.get\(\w+,|\bok\s*:=|coalesce|\bdefault\(|raise\s|throw\s|\?\?")),
    ("error_handling_removed", _lower(r"\b(try|catch|except|rescue|recover|on_?error)\b|if\s+err\s*!=\s*nil|\.catch\(")),
    ("index_removed", _lower(r"\b(create\s+(unique\s+)?index|add_?index|db_index|index:\s*true|@index|primary key)")),
    ("auth_removed", _lower(r"authorization|bearer|api_?key|credential|permission|\brole\b|\bscope|signature|csrf|cors|allow_?origin")),
    ("buffering_removed", _lower(r"\bbufio|buffered|bufferedwriter|stringio|setbuf")),
    ("await_removed", _lower(r"\bawait\b|\.then\(|\.join\(\)|\.result\(\)|wait_?group|\.wait\(")),
    ("transaction_removed", _lower(r"\b(begin|commit|rollback|transaction|atomic|savepoint|idempoten\w+)\b")),
)  # fmt: skip
ADDED: tuple[tuple[str, re.Pattern[str]], ...] = (
    ("schema_changed", _lower(r"\b(alter\s+table|drop\s+(table|column|index)|rename\s+column|add\s+column|not\s+null|create\s+table|change_column|remove_column|rename_column|add_constraint|modify\s+column|reindex)\b")),
    ("index_removed", _lower(r"\bdrop\s+index|remove_index|dropindex")),
    ("lock_added", _lower(r"\.lock\(\)|synchronized|select_for_update|for update|lock\s+table|access exclusive|\.acquire\(|mutex")),
    ("query_changed", _lower(r"\bselect\b.+\bfrom\b|\bjoin\b.+\bon\b|\bwhere\b|\border\s+by\b|\bgroup\s+by\b|like\s+['\"]%|\.find\(|\.aggregate\(|\.scan\(|full_?scan|findall|find_all|\.all\(\)")),
    ("call_in_loop", _lower(r"$^")),
    ("unbounded_growth", _lower(r"=\s*append\(|\.append\(|\.push\(|\.add\(|\.put\(|\.set\(|\[\w+(\.\w+)*\]\s*=[^=]|addlistener|\.on\(|subscribe\(|go\s+func|new\s+thread|spawn\(|setinterval|create_task|static\s+\w*(map|list|cache)|make\(map|= \{\}$|= \[\]$|new\s+\w*map|sync\.map|threadlocal")),
    ("blocking_added", _lower(r"time\.sleep|thread\.sleep|\.wait\(|\.join\(\)|\.result\(\)|\.get\(\)|readfilesync|execsync|blocking|synchronous|requests\.(get|post)|http\.(get|post)|\.block\(")),
    ("regex_changed", _lower(r"re\.compile|regexp?\.|new\s+regexp|pattern\.compile|mustcompile|\(\.\*\)|\(\?:|\+\)\+|\*\)\*|\+\)\*")),
    ("endpoint_changed", _lower(r"https?://|\.listen\(|listen_and_serve|listenandserve|\bbind\(|\bhost(name)?\b\s*[:=]|\bport\b\s*[:=]|\bendpoint|base_?url|\bdsn\b|\.svc\.|\bregion\b")),
    ("tls_changed", _lower(r"\btls|\bssl\b|certificate|\bcert\b|ca_?bundle|cipher|x509|verify_?peer|insecure|mtls|keystore|truststore")),
    ("auth_changed", _lower(r"authorization|bearer|oauth|\bjwt\b|api_?key|audience|issuer|\bscope|permission|\biam\b|\brole\b|rbac|signing_?key|credential|secret")),
    ("header_changed", _lower(r"header|content-?type|user-?agent|x-[a-z]+-[a-z]+|accept-|encoding|cookie|cors")),
    ("format_changed", _lower(r"json:\"|serialize|deserialize|marshal|protobuf|\bproto\b|\bavro\b|schema|encode\(|decode\(|parse\(|strptime|dateformat|@jsonproperty|column\(|\bint32\b|\buint|timezone|\butc\b|utf-?8|enum|reserved \d|= \d+;$")),
    ("concurrency_raised", _lower(r"go\s+func|goroutine|executor|promise\.all|asyncio\.gather|parallel|workers?\b|concurren|thread_?pool|errgroup")),
    ("compute_added", _lower(r"\bfor\b.*\b(range|in|of)\b|\bwhile\b|sort|deepcopy|clone\(|hash|bcrypt|scrypt|encrypt|compress|gzip|json\.(loads|dumps|parse|stringify)|reflect\.")),
    ("retry_added", _lower(r"\bretr(y|ies)|max_?attempts|for\s+attempt")),
    ("null_introduced", _lower(r"return\s+(nil|null|none|undefined)\b|=\s*(nil|null|none|undefined)\b|\.get\(\)|\[0\]|!\.|\.unwrap\(\)|\bpanic\(|throw\s+new|raise\s+\w+")),
    ("memory_raised", _lower(r"readall|read_all|\.read\(\)|tolist\(|collect\(|load_?all|buffer|in_?memory|preload|arraylist|bytes\.buffer|copy\(")),
    ("transaction_changed", _lower(r"isolation|serializable|read_?committed|repeatable_?read|read_?uncommitted|autocommit|propagation")),
    ("error_swallowed", _lower(r"^\s*pass\s*$|catch\s*(\([^)]*\))?\s*\{\s*\}|except\s*(Base)?(Exception)?\s*:|\b_\s*=\s*err\b|suppress\(|rescue\s*(=>\s*_)?\s*(nil)?$|\.catch\(\(\)\s*=>")),
    ("dns_changed", _lower(r"\bdns|resolver|nameserver|ndots|search_?domain|servicename")),
    ("network_policy_changed", _lower(r"networkpolicy|ingress|egress|security_?group|firewall|iptables|allowlist|denylist|cidr|timeoutseconds")),
    ("schedule_changed", _lower(r"\bcron|schedule|@every|interval|\bjob\b|batch_?window|parallelism")),
)  # fmt: skip
REWRITTEN = frozenset(
    {
        "tls_changed",
        "endpoint_changed",
        "schedule_changed",
        "transaction_changed",
        "dns_changed",
        "network_policy_changed",
    }
)
"""Kinds of which a line that only reads differently is one too."""
_KEYS: tuple[tuple[str, re.Pattern[str]], ...] = (
    ("probe", rx(r"initial_?delay|probe|failure_?threshold|period_?seconds|liveness|readiness|health_?check")),
    ("durability", rx(r"^acks?$|fsync|durab|quorum|replication_?factor|synchronous_commit|write_?concern|min_?insync")),
    ("cost", rx(r"cost|work_?factor|iterations|rounds|compression_?level|complexity")),
    ("log_level", rx(r"log_?level|^level$|verbos|^debug$")),
    ("sampling", rx(r"sampl")),
    ("timeout", rx(r"time_?out|deadline|max_?wait|keep_?alive|grace")),
    ("ttl", rx(r"ttl|expir|max_?age|refresh|lifetime|retention|idle|health_?check")),
    ("retries", rx(r"retr|attempt|redeliver")),
    ("backoff", rx(r"back_?off|delay|jitter")),
    ("replicas", rx(r"replica|instances|desired|min_?(pods|nodes)|scale|hpa|maxunavailable|minavailable")),
    ("resources", rx(r"\bcpu|memory|\bmem|heap|xmx|requests?$|limits?$|disk|storage|quota|ulimit|nofile|gomaxprocs|gomemlimit|gogc")),
    ("concurrency", rx(r"concurren|worker|parallel|thread|prefetch|in_?flight|partitions?")),
    ("batch", rx(r"batch|chunk|page_?size|bulk|flush")),
    ("limit", rx(r"max|limit|pool|size|capacity|buffer|queue|conn|entries|threshold|burst|rate|budget|window")),
    ("endpoint", rx(r"url|host|port|endpoint|addr|dsn|region|broker|server|domain|bucket|topic|table|queue_?name|path|prefix")),
    ("tls", rx(r"tls|ssl|cert|cipher|ca_")),
    ("auth", rx(r"auth|token|secret|key|role|audience|issuer|user|password")),
    ("switch", rx(r"enabl|disabl|flag|mode|strategy|policy|type|format|version|strict|default")),
)  # fmt: skip


@lru_cache(maxsize=20_000)
def family_of(key: str) -> str | None:
    """The kind of setting that a key names, such as `timeout`."""
    return next((name for name, pattern in _KEYS if pattern.search(key)), None)
