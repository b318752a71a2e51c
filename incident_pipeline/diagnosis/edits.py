"""What a change does, said in a few dozen kinds of edit.

Belongs here: from the lines of a diff to "took a lock away", "lowered a limit", "only moved code".
Does not belong here: whether that produces the symptoms at hand (`mechanisms`).

Nothing here knows a language: the detectors look at the shape of tokens that most languages share.
"""

# ruff: noqa: E501  (the tables of patterns read best with one pattern a line)
from __future__ import annotations

import re
from collections import Counter
from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import dataclass

from incident_pipeline.diagnosis.diffs import (
    FileDiff,
    Setting,
    is_comment_or_blank,
    parse_diff,
    settings_changed,
    settings_removed,
    strip_comment,
)
from incident_pipeline.models import CodeChange


@dataclass(frozen=True)
class Edit:
    """One thing a change does: its kind, where, and the words to show a person."""

    kind: str
    path: str
    detail: str


HARMLESS = frozenset({"elsewhere", "docs", "test", "ci", "style", "logging_text", "comment", "moved_code"})
"""Kinds that do not change what runs, or hardly."""

_PATHS: tuple[tuple[str, re.Pattern[str]], ...] = (
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
_DEPENDENCY = re.compile(
    r"(^|/)(go\.(mod|sum)|package(-lock)?\.json|yarn\.lock|pnpm-lock\.yaml|requirements[^/]*\.txt|poetry\.lock|uv\.lock|"
    r"pyproject\.toml|cargo\.(toml|lock)|pom\.xml|build\.gradle(\.kts)?|gemfile(\.lock)?|composer\.(json|lock))$"
)
_VERSION = re.compile(r"v?(\d+)\.(\d+)(?:\.(\d+))?")


def _rx(pattern: str) -> re.Pattern[str]:
    return re.compile(pattern, re.IGNORECASE | re.MULTILINE)


_LOG_CALL = _rx(r"\b(log(ger|ging)?|slog|zap|logrus|console|LOG_\w+|fmt\.Print\w*|print(ln|f)?|tracing::\w+)\s*[.(!]")
_MONITORING = _rx(
    r"\b(prometheus|counter|gauge|histogram|metrics?_?|span|otel|tracer|telemetry|statsd)\b|SetAttributes|\.inc\("
)

# An edit is named where the pattern is found in removed lines and not in as many added ones, or the other way round.
_REMOVED: tuple[tuple[str, re.Pattern[str]], ...] = (
    ("lock_removed", _rx(r"\b(mutex|rwmutex|rwlock|synchronized|with\s+\w*lock|ReentrantLock|lock_guard|ConcurrentHashMap|sync\.Map|Interlocked|AtomicInteger|select_for_update|FOR UPDATE|SETNX|advisory_lock)\b|\.r?lock\(\)|\.unlock\(\)|\.acquire\(")),
    ("batching_removed", _rx(r"batch|bulk|chunk|executemany|insertmany|pipeline\(|multi_?get|mget|prefetch|select_related|dataloader|\bjoin\(|includes\(")),
    ("cache_removed", _rx(r"\bcache|memoi[sz]e|lru_|singleflight|\bmemo\b|@cached|redis\.get|getfromcache|etag|max-age")),
    ("cleanup_removed", _rx(r"\b(close|release|dispose|cancel|shutdown|unsubscribe|free|cleanup|evict|expire|purge|truncate|rotate|vacuum|unregister|removeListener|clearInterval|defer|finally|stop)\b\s*\(?|\.del(ete)?\(|using\s*\(|with\s+[\w.]+\(.*\)\s*(as\b|:)|delete\(")),
    ("bound_removed", _rx(r"\b(limit|max\w*|cap|capacity|bounded|maxsize|semaphore|throttle|ratelimit|rate_limit|page_?size|LIMIT\s+\d+|ttl|expir\w*|evict\w*|truncat\w*|backpressure|maxlen|setlimit)\b|len\(\w+\)\s*[><]=?")),
    ("timeout_removed", _rx(r"timeout|deadline|withtimeout|context\.with|setdeadline|abortsignal")),
    ("backoff_removed", _rx(r"back_?off|jitter|time\.sleep|\bsleep\(|base_?delay|exponential|retry_?after")),
    ("retry_removed", _rx(r"\bretr(y|ies)|max_?attempts|for\s+attempt|tenacity|circuit_?breaker|fallback")),
    ("check_removed", _rx(r"^\s*(\}?\s*else\s+)?(if|unless|elif|guard|when)\b|\bassert|\bvalidate|\brequire\(|isinstance|\?\.|\bguard\b|len\(\w+\)\s*(==|>|<|!=)\s*\d|isEmpty|Optional|unwrap_or|\.get\(\w+,|\bok\s*:=|coalesce|\bdefault\(|raise\s|throw\s|\?\?")),
    ("error_handling_removed", _rx(r"\b(try|catch|except|rescue|recover|on_?error)\b|if\s+err\s*!=\s*nil|\.catch\(")),
    ("index_removed", _rx(r"\b(create\s+(unique\s+)?index|add_?index|db_index|index:\s*true|@index|primary key)")),
    ("auth_removed", _rx(r"authorization|bearer|api_?key|credential|permission|\brole\b|\bscope|signature|csrf|cors|allow_?origin")),
    ("buffering_removed", _rx(r"\bbufio|buffered|bufferedwriter|stringio|setbuf")),
    ("await_removed", _rx(r"\bawait\b|\.then\(|\.join\(\)|\.result\(\)|wait_?group|\.wait\(")),
    ("transaction_removed", _rx(r"\b(begin|commit|rollback|transaction|atomic|savepoint|idempoten\w+)\b")),
)  # fmt: skip
_ADDED: tuple[tuple[str, re.Pattern[str]], ...] = (
    ("schema_changed", _rx(r"\b(alter\s+table|drop\s+(table|column|index)|rename\s+column|add\s+column|not\s+null|create\s+table|change_column|remove_column|rename_column|add_constraint|modify\s+column|reindex)\b")),
    ("index_removed", _rx(r"\bdrop\s+index|remove_index|dropindex")),
    ("lock_added", _rx(r"\.lock\(\)|synchronized|select_for_update|for update|lock\s+table|access exclusive|\.acquire\(|mutex")),
    ("query_changed", _rx(r"\bselect\b.+\bfrom\b|\bjoin\b.+\bon\b|\bwhere\b|\border\s+by\b|\bgroup\s+by\b|like\s+['\"]%|\.find\(|\.aggregate\(|\.scan\(|full_?scan|findall|find_all|\.all\(\)")),
    ("call_in_loop", _rx(r"$^")),
    ("unbounded_growth", _rx(r"=\s*append\(|\.append\(|\.push\(|\.add\(|\.put\(|\.set\(|\[\w+(\.\w+)*\]\s*=[^=]|addlistener|\.on\(|subscribe\(|go\s+func|new\s+thread|spawn\(|setinterval|create_task|static\s+\w*(map|list|cache)|make\(map|= \{\}$|= \[\]$|new\s+\w*map|sync\.map|threadlocal")),
    ("blocking_added", _rx(r"time\.sleep|thread\.sleep|\.wait\(|\.join\(\)|\.result\(\)|\.get\(\)|readfilesync|execsync|blocking|synchronous|requests\.(get|post)|http\.(get|post)|\.block\(")),
    ("regex_changed", _rx(r"re\.compile|regexp?\.|new\s+regexp|pattern\.compile|mustcompile|\(\.\*\)|\(\?:|\+\)\+|\*\)\*|\+\)\*")),
    ("endpoint_changed", _rx(r"https?://|\.listen\(|listen_and_serve|listenandserve|\bbind\(|\bhost(name)?\b\s*[:=]|\bport\b\s*[:=]|\bendpoint|base_?url|\bdsn\b|\.svc\.|\bregion\b")),
    ("tls_changed", _rx(r"\btls|\bssl\b|certificate|\bcert\b|ca_?bundle|cipher|x509|verify_?peer|insecure|mtls|keystore|truststore")),
    ("auth_changed", _rx(r"authorization|bearer|oauth|\bjwt\b|api_?key|audience|issuer|\bscope|permission|\biam\b|\brole\b|rbac|signing_?key|credential|secret")),
    ("header_changed", _rx(r"header|content-?type|user-?agent|x-[a-z]+-[a-z]+|accept-|encoding|cookie|cors")),
    ("format_changed", _rx(r"json:\"|serialize|deserialize|marshal|protobuf|\bproto\b|\bavro\b|schema|encode\(|decode\(|parse\(|strptime|dateformat|@jsonproperty|column\(|\bint32\b|\buint|timezone|\butc\b|utf-?8|enum|reserved \d|= \d+;$")),
    ("concurrency_raised", _rx(r"go\s+func|goroutine|executor|promise\.all|asyncio\.gather|parallel|workers?\b|concurren|thread_?pool|errgroup")),
    ("compute_added", _rx(r"\bfor\b.*\b(range|in|of)\b|\bwhile\b|sort|deepcopy|clone\(|hash|bcrypt|scrypt|encrypt|compress|gzip|json\.(loads|dumps|parse|stringify)|reflect\.")),
    ("retry_added", _rx(r"\bretr(y|ies)|max_?attempts|for\s+attempt")),
    ("null_introduced", _rx(r"return\s+(nil|null|none|undefined)\b|=\s*(nil|null|none|undefined)\b|\.get\(\)|\[0\]|!\.|\.unwrap\(\)|\bpanic\(|throw\s+new|raise\s+\w+")),
    ("memory_raised", _rx(r"readall|read_all|\.read\(\)|tolist\(|collect\(|load_?all|buffer|in_?memory|preload|arraylist|bytes\.buffer|copy\(")),
    ("transaction_changed", _rx(r"isolation|serializable|read_?committed|repeatable_?read|read_?uncommitted|autocommit|propagation")),
    ("error_swallowed", _rx(r"^\s*pass\s*$|catch\s*(\([^)]*\))?\s*\{\s*\}|except\s*(Base)?(Exception)?\s*:|\b_\s*=\s*err\b|suppress\(|rescue\s*(=>\s*_)?\s*(nil)?$|\.catch\(\(\)\s*=>")),
    ("dns_changed", _rx(r"\bdns|resolver|nameserver|ndots|search_?domain|servicename")),
    ("network_policy_changed", _rx(r"networkpolicy|ingress|egress|security_?group|firewall|iptables|allowlist|denylist|cidr|timeoutseconds")),
    ("schedule_changed", _rx(r"\bcron|schedule|@every|interval|\bjob\b|batch_?window|parallelism")),
)  # fmt: skip

_REWRITTEN = frozenset(
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
    ("probe", _rx(r"initial_?delay|probe|failure_?threshold|period_?seconds|liveness|readiness|health_?check")),
    ("durability", _rx(r"^acks?$|fsync|durab|quorum|replication_?factor|synchronous_commit|write_?concern|min_?insync")),
    ("cost", _rx(r"cost|work_?factor|iterations|rounds|compression_?level|complexity")),
    ("log_level", _rx(r"log_?level|^level$|verbos|^debug$")),
    ("sampling", _rx(r"sampl")),
    ("timeout", _rx(r"time_?out|deadline|max_?wait|keep_?alive|grace")),
    ("ttl", _rx(r"ttl|expir|max_?age|refresh|lifetime|retention|idle|health_?check")),
    ("retries", _rx(r"retr|attempt|redeliver")),
    ("backoff", _rx(r"back_?off|delay|jitter")),
    ("replicas", _rx(r"replica|instances|desired|min_?(pods|nodes)|scale|hpa|maxunavailable|minavailable")),
    ("resources", _rx(r"\bcpu|memory|\bmem|heap|xmx|requests?$|limits?$|disk|storage|quota|ulimit|nofile|gomaxprocs|gomemlimit|gogc")),
    ("concurrency", _rx(r"concurren|worker|parallel|thread|prefetch|in_?flight|partitions?")),
    ("batch", _rx(r"batch|chunk|page_?size|bulk|flush")),
    ("limit", _rx(r"max|limit|pool|size|capacity|buffer|queue|conn|entries|threshold|burst|rate|budget|window")),
    ("endpoint", _rx(r"url|host|port|endpoint|addr|dsn|region|broker|server|domain|bucket|topic|table|queue_?name|path|prefix")),
    ("tls", _rx(r"tls|ssl|cert|cipher|ca_")),
    ("auth", _rx(r"auth|token|secret|key|role|audience|issuer|user|password")),
    ("switch", _rx(r"enabl|disabl|flag|mode|strategy|policy|type|format|version|strict|default")),
)  # fmt: skip


def edits_of(change: CodeChange) -> tuple[Edit, ...]:
    """Everything the change does; a change without a diff is judged by its files and message."""
    files = parse_diff(change.diff or "", change.files)
    edits: list[Edit] = []
    for file in files:
        edits += _file_edits(file)
    if not files:
        said = _message_kind(change.message)
        if said:
            return (Edit(said, "", f"is said to change {said} only"),)
        edits += [Edit(_path_kind(path) or "unseen", path, f"touches {path}") for path in change.files]
    return tuple(dict.fromkeys(edits))


def _file_edits(file: FileDiff) -> Iterator[Edit]:
    kind = _path_kind(file.path)
    if kind:
        yield Edit(kind, file.path, f"touches {file.path}")
        return
    if _DEPENDENCY.search(file.path.lower()):
        yield from _dependency_edits(file)
        return
    removed = [line for line in file.removed if not is_comment_or_blank(line)]
    added = [line for line in file.added if not is_comment_or_blank(line)]
    if not removed and not added:
        yield Edit("comment", file.path, f"changes comments only in {file.path}")
        return
    if removed != added and sorted(map(str.strip, removed)) == sorted(map(str.strip, added)) and len(removed) > 1:
        yield Edit(
            "order_changed", file.path, f"changes the order of steps, `{_shown(added[0])}` now first, in {file.path}"
        )
        return
    if (
        _is_moved(removed, added)
        and not _calls_anew(removed, added)
        and not _takes_away(removed, added)
        and not any(settings_changed(file))
    ):
        yield Edit("moved_code", file.path, f"moves code without changing it in {file.path}")
        return
    if _only(removed + added, _LOG_CALL) or (not removed and _only(added, _LOG_CALL, _MONITORING)):
        yield Edit("logging_text", file.path, f"changes only log and metric statements in {file.path}")
        return
    yield from _setting_edits(file)
    yield from _line_edits(file.path, removed, added, file.context)


def _path_kind(path: str) -> str | None:
    lowered = path.lower()
    return next((kind for kind, pattern in _PATHS if pattern.search(lowered)), None)


_SAYS = re.compile(r"^\s*[#\[(]?(docs?|tests?|style|ci|format|lint)\b[\])]?[:!(\s]", re.IGNORECASE)


def _message_kind(message: str) -> str | None:
    """What a change without a diff says it is, where that is harmless; weaker than reading the diff, and only then used."""
    match = _SAYS.match(message)
    word = match.group(1).lower() if match else ""
    return {"doc": "docs", "docs": "docs", "test": "test", "tests": "test", "ci": "ci"}.get(
        word, "style" if word else None
    )


def _only(lines: Iterable[str], *patterns: re.Pattern[str]) -> bool:
    """Whether every line that says something is of these kinds; a clock read for a log line is one of them."""
    clock = re.compile(r"^\s*\w+\s*:?=\s*(time|Date|datetime|System|performance)\.\w+\(\)\s*;?$")
    return all(clock.match(line) or any(p.search(line) for p in patterns) for line in lines)


def _is_moved(removed: list[str], added: list[str]) -> bool:
    """Whether what went came back: at least 80 % of the removed words, and hardly a new number among the added."""
    gone, come = Counter(_words(removed)), Counter(_words(added))
    if not gone or sum(gone.values()) < 3:
        return False
    kept = sum((gone & come).values()) / sum(gone.values())
    digits = {w for w in come if w[0].isdigit()} ^ {w for w in gone if w[0].isdigit()}
    return kept >= 0.8 and not digits and sum(come.values()) <= 2.5 * sum(gone.values()) + 8


_CALLED = re.compile(r"([A-Za-z_]\w*)\(")
_DEFINED = re.compile(
    r"(?:\bdef|\bfunc|\bfunction|\bfn|\bvoid|\bprivate|\bstatic|\bconst|\blet)\s+(?:[\w<>\[\]]+\s+)*([A-Za-z_]\w*)\s*(?:=|\()|func\s+\([^)]*\)\s+(\w+)\("
)


def _calls_anew(removed: list[str], added: list[str]) -> bool:
    """Whether the added lines call something that the removed ones did not, and that they do not define themselves."""
    called = {name for line in added for name in _CALLED.findall(strip_comment(line))}
    known = {name for line in removed for name in _words([line])}
    defined = {name for line in added for pair in _DEFINED.findall(line) for name in pair if name}
    return bool(called - known - defined)


def _takes_away(removed: list[str], added: list[str]) -> bool:
    """Whether something that protects is gone although most words came back."""
    return any(_counted(_REMOVED, "", removed, added, "")) or _call_in_loop(added, removed)


def _words(lines: Iterable[str]) -> list[str]:
    return re.findall(r"[A-Za-z_]\w{2,}|\d+(?:\.\d+)?", " ".join(strip_comment(line) for line in lines))


def _dependency_edits(file: FileDiff) -> Iterator[Edit]:
    before = {_VERSION.sub("", line).strip(): _VERSION.search(line) for line in file.removed}
    for line in file.added:
        name = _VERSION.sub("", line).strip()
        new, old = _VERSION.search(line), before.get(name)
        words = name.strip(' ",:=^~')
        if new and old:
            major = new.group(1) != old.group(1) or (new.group(1) == "0" and new.group(2) != old.group(2))
            kind = (
                "dependency_major"
                if major
                else "dependency_patch"
                if new.group(2) == old.group(2)
                else "dependency_minor"
            )
            yield Edit(kind, file.path, f"moves {words} from {old.group(0)} to {new.group(0)}")
    if not file.added and not file.removed:
        yield Edit("dependency_patch", file.path, f"touches {file.path}")


def _setting_edits(file: FileDiff) -> Iterator[Edit]:
    for setting in settings_changed(file):
        family = next((name for name, pattern in _KEYS if pattern.search(setting.key)), None)
        detail = f"sets {setting.key} from {setting.before} to {setting.after} in {file.path}"
        for kind in _setting_kinds(family, setting):
            yield Edit(kind, file.path, detail)
    for key, value in settings_removed(file):
        family = next((name for name, pattern in _KEYS if pattern.search(key)), None)
        if family in {"timeout", "backoff", "retries", "limit", "ttl", "tls", "auth"}:
            yield Edit(f"{family}_removed", file.path, f"takes away {key} ({value}) in {file.path}")


def _setting_kinds(family: str | None, setting: Setting) -> Iterator[str]:
    factor = setting.factor
    if (family == "log_level" and re.search(r"debug|trace|true|all", setting.after, re.IGNORECASE)) or (
        family == "sampling" and factor is not None and factor > 1.5
    ):
        yield "log_volume_raised"
    elif {setting.before.lower(), setting.after.lower()} in ({"true", "false"}, {"on", "off"}, {"yes", "no"}):
        yield "switch_turned"
    elif factor is None:
        yield f"{family or 'value'}_changed"
    elif family == "cost" and factor > 1.1:
        yield "cost_raised"
    elif 0.6 < factor < 1.7:
        yield f"{family or 'value'}_nudged"
    else:
        yield f"{family or 'value'}_{'raised' if factor > 1 else 'lowered'}"


_TYPE = _rx(
    r"\b(u?int(8|16|32|64)?|integer|long|short|float(32|64)?|double|bool(ean)?|string|str|varchar\(\d+\)|text|bytes|uuid|number|date(time)?|timestamp)\b"
)


def _types(removed: Sequence[str], added: Sequence[str]) -> str | None:
    """The added line that differs from a removed one in a type alone."""
    frames = {_TYPE.sub("T", line).strip(): line.strip() for line in removed if _TYPE.search(line)}
    return next(
        (line for line in added if frames.get(_TYPE.sub("T", line).strip(), line.strip()) != line.strip()), None
    )


_EXACT = _rx(r"\b(big_?decimal|decimal|numeric|big_?int(eger)?|quantize|money)\b")
_INEXACT = _rx(r"\b(float(32|64)?|double|parsefloat|real)\b")


def _line_edits(path: str, removed: list[str], added: list[str], context: list[str]) -> Iterator[Edit]:
    yield from _counted(_REMOVED, path, removed, added, "takes away")
    yield from _counted(_ADDED, path, added, removed, "adds")
    if _call_in_loop(added, removed):
        yield Edit("call_in_loop", path, f"calls out once for each item in {path}")
    retyped = _types(removed, added)
    if retyped is not None:
        yield Edit("type_changed", path, f"changes a type: `{_shown(retyped)}` in {path}")
    if _EXACT.search("\n".join(removed)) and _INEXACT.search("\n".join(added)):
        yield Edit("precision_removed", path, f"computes with rounded numbers what was exact, in {path}")
    for old, new in _literals(removed, added):
        yield Edit("literal_changed", path, f"sets {old} to {new} in {path}")
    if removed or added:
        yield Edit("code_changed", path, f"changes code in {path}")
    del context


_QUOTED = re.compile(r"\"[^\"]*\"|'[^']*'|`[^`]*`")


def _literals(removed: list[str], added: list[str]) -> Iterator[tuple[str, str]]:
    """(old, new) of quoted texts that alone differ between two lines."""
    frames = {_QUOTED.sub("''", line).strip(): line for line in removed if _QUOTED.search(line)}
    for line in added:
        old = frames.get(_QUOTED.sub("''", line).strip())
        if old is not None and old.strip() != line.strip():
            pairs = zip(_QUOTED.findall(old), _QUOTED.findall(line), strict=False)
            yield from ((_shown(a), _shown(b)) for a, b in pairs if a != b)


def _counted(
    table: tuple[tuple[str, re.Pattern[str]], ...], path: str, here: list[str], there: list[str], verb: str
) -> Iterator[Edit]:
    code, other = [strip_comment(line) for line in here], [strip_comment(line) for line in there]
    whole = "\n".join(code)
    for kind, pattern in table:
        if not pattern.search(whole):
            continue
        hits = [line for line, stripped in zip(here, code, strict=True) if pattern.search(stripped)]
        known = [stripped for stripped in other if pattern.search(stripped)]
        if len(hits) > len(known):
            yield Edit(kind, path, f"{verb} `{_shown(hits[0])}` in {path}")
        elif kind in _REWRITTEN and known and Counter(_words(hits)) != Counter(_words(known)):
            yield Edit(kind, path, f"rewrites `{_shown(known[0])}` as `{_shown(hits[0])}` in {path}")


def _shown(line: str) -> str:
    text = " ".join(line.split()).replace("`", "'")
    return text if len(text) <= 80 else text[:79] + "…"


_LOOP = _rx(r"\bfor\b|\bwhile\b|\.forEach\(|\.map\(|\.each\b")
_OUTWARD = _rx(
    r"\b(db|client|repo\w*|session|conn|api|http|redis|cursor|dao|store|svc|service|stub|dynamo\w*|s3)\b.*\(|\.(query|execute|fetch\w*|get\w*|put\w*|save|insert|find\w*|post|send|publish)\(|await\s"
)


def _call_in_loop(added: list[str], removed: list[str]) -> bool:
    def loops(lines: list[str], seen: Callable[[str], object]) -> int:
        return sum(
            1 for i, line in enumerate(lines) if _LOOP.search(line) and any(seen(inner) for inner in lines[i : i + 4])
        )

    return loops(added, _OUTWARD.search) > 0 and loops(added, _OUTWARD.search) >= loops(removed, _OUTWARD.search)
