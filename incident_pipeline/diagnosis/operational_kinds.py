# ruff: noqa: E501  (the tables of patterns read best with one pattern a line)
"""The kinds of causes that no change brings, and the words and series by which each is known.

Belongs here: the table. Does not belong here: weighing an incident against it (`operational_causes`).
"""

from __future__ import annotations

import re
from dataclasses import dataclass

from incident_pipeline.models import Category

_EXTERNAL = Category.EXTERNAL_FACTOR
_DEPENDENCY = Category.DEPENDENCY_FAILURE
_CAPACITY = Category.CAPACITY_PROBLEM
_CONFIG = Category.CONFIGURATION_ERROR


@dataclass(frozen=True)
class Kind:
    """One kind of operational cause and the words by which it is known."""

    slug: str
    category: Category
    lines: re.Pattern[str]
    series: re.Pattern[str]
    says: str
    action: str
    weight: float = 2.0
    """Log-odds of a telling line that says so."""


def _kind(slug: str, category: Category, lines: str, series: str, says: str, action: str, weight: float = 2.0) -> Kind:
    return Kind(slug, category, re.compile(lines, re.I), re.compile(series, re.I), says, action, weight)


_NEVER = r"$^"
KINDS: tuple[Kind, ...] = (
    _kind(
        "cloud_region_impairment",
        _EXTERNAL,
        r"(region|availability.?zone|\baz\b)[=: ]+\W?[a-z]+-[a-z]+-?\d|(us|eu|ap|ca|sa|me|af)-(north|south|east|west|central)\w*-?\d",
        _NEVER,
        "Calls to the cloud provider fail in one region",
        "Fail over to another region",
        2.6,
    ),
    _kind(
        "third_party_outage",
        _DEPENDENCY,
        r"https?://(?!localhost|127\.)[\w.-]+\.(com|net|io|org|cloud|dev|co)\b.*(5\d\d|deadline|timed? ?out|unavailable|refused|reset)|"
        r"(provider|third.party|vendor|upstream api|gateway provider|partner).*(5\d\d|down|unavailable|outage|degraded|timed? ?out|error)",
        r"provider|third.?party|vendor|external",
        "An outside provider answers with errors",
        "Fail over to another provider, or degrade without it",
        2.6,
    ),
    _kind(
        "dns_failure",
        _DEPENDENCY,
        r"no such host|nxdomain|servfail|name resolution|unknown host|ENOTFOUND|EAI_AGAIN|getaddrinfo|dns (lookup|error|timeout|fail)|"
        r"lookup \S+( on \S+)?: |coredns|resolver",
        r"dns|coredns|nxdomain|servfail",
        "Names no longer resolve",
        "Check the resolvers; fail over to another one",
        3.0,
    ),
    _kind(
        "certificate_expired",
        _CONFIG,
        r"certificate.*(expired|not yet valid)|x509.*expired|cert.*expir|CERT_HAS_EXPIRED|NotAfter|certificate_expired",
        r"cert.*(expir|days|ttl|age)",
        "A certificate has expired",
        "Rotate the certificate",
        3.2,
    ),
    _kind(
        "credential_expired",
        _CONFIG,
        r"(token|secret|api.?key|password|credential|access key)s? (has |is |was )?(expired|revoked)|ExpiredToken|InvalidClientTokenId",
        _NEVER,
        "A credential has expired or was revoked",
        "Rotate the credential",
        3.0,
    ),
    _kind(
        "noisy_neighbor",
        _CAPACITY,
        r"co.?tenant|noisy.?neighbou?r|node.*(pressure|contended|under .*load|saturat)|cpu (contended|steal)|"
        r"steal time|NodeUnderPressure|evict(ed|ing) pod|(memory|disk|pid)pressure",
        r"node_(cpu|mem|memory|load|disk)|steal|host_cpu|_pressure",
        "The node is overloaded by something else that runs on it",
        "Move the pod to another node, or limit its neighbour",
        2.6,
    ),
    _kind(
        "node_failure",
        _DEPENDENCY,
        r"node.*(not ?ready|unreachable|went away|terminated|preempt|spot interruption|reboot)|NodeNotReady|kernel panic|"
        r"hardware error|machine check|i/o error|EBS|volume.*(detach|stuck|impaired)",
        r"node_(ready|up)\b",
        "A node or its disk has failed",
        "Move the work off the node",
        2.6,
    ),
    _kind(
        "network_partition",
        _DEPENDENCY,
        r"packet loss|no route to host|network (is )?(unreachable|partition)|partition(ed)? from|link (down|flap)|bgp|split.?brain|"
        r"cross-(az|zone).*(loss|latency|timeout)",
        r"packet_?(loss|drop)|retransmit|tcp_.*(reset|retrans)",
        "The network between services loses packets",
        "Move traffic away from the broken path",
        2.6,
    ),
    _kind(
        "quota_exhausted",
        _CAPACITY,
        r"quota (exceeded|exhausted|reached)|LimitExceeded|RESOURCE_EXHAUSTED|account limit|service quota|billing|"
        r"(daily|monthly) limit",
        r"quota",
        "A quota is used up",
        "Raise the quota, or shed load",
        2.5,
    ),
    _kind(
        "traffic_surge",
        _CAPACITY,
        r"flash sale|traffic (spike|surge)|crawler|\bbot(net)?\b|scraper|ddos|load shed|overload(ed)?\b|too many requests from|campaign|viral",
        _NEVER,
        "More traffic than the service can carry",
        "Scale out, or limit the traffic",
        2.3,
    ),
    _kind(
        "clock_skew",
        _EXTERNAL,
        r"clock (skew|drift|jump)|ntp|time (drift|jump)|used before issued|issued in the future|leap second",
        r"clock|ntp|time_offset",
        "The clocks of hosts have drifted apart",
        "Set the clock of the host right, or take it out",
        2.8,
    ),
    _kind(
        "bad_data",
        _EXTERNAL,
        r"poison|malformed (record|row|message|payload|event|line)|corrupt(ed)? (record|row|file|message|feed|batch|data)|"
        r"unparse?able|bad (record|row|data|batch|feed)|invalid (record|row|feed|batch)|(feed|import|partner file|upload|batch)"
        r".*(invalid|malformed|unexpected|missing column|schema)|dead.?letter",
        r"dead_?letter|dlq|poison|malformed|invalid_records|rejected_records",
        "Bad data has come in",
        "Set the bad records aside and replay the rest",
        2.8,
    ),
    _kind(
        "database_failover",
        _DEPENDENCY,
        r"failover|(primary|master|leader) (lost|changed|stepped down|unavailable)|read.?only (replica|transaction|mode)|replica promoted|"
        r"not (the )?(primary|master)|NotPrimary|recovery mode|maintenance (window|event)",
        r"replication_lag|replica_lag|failover",
        "The database has failed over",
        "Check the database's primary and its replicas",
        2.4,
    ),
)
