"""10,000 alerts of 40 services, and among them five incidents that have nothing to do with them."""

from __future__ import annotations

import random
from datetime import UTC, datetime
from typing import Any

STORM_ALERTS, STORM_SERVICES, UNRELATED = 10_000, 40, 5


def storm(rng: random.Random) -> list[tuple[dict[str, Any], str]]:
    """Alerts with the name of the incident that they belong to."""
    now = datetime.now(UTC).isoformat()
    made = []
    for number in range(STORM_ALERTS):
        service = f"shop-{rng.randrange(STORM_SERVICES)}"
        kind = rng.choice(["latency", "errors", "saturation", "probe"])
        made.append(
            (_alert(number, service, f"{kind} of {service}", f"{service}/{kind}/{rng.randrange(60)}", now), "storm")
        )
    for number in range(UNRELATED):
        service = f"billing-{number}"
        alert = _alert(STORM_ALERTS + number, service, f"{service} is down", f"{service}/down", now)
        made.insert(rng.randrange(len(made)), (alert, service))
    return made


def _alert(number: int, service: str, title: str, key: str, at: str) -> dict[str, Any]:
    return {
        "source": "custom",
        "source_id": f"a{number}",
        "dedup_key": key,
        "title": title,
        "severity": "P2",
        "status": "triggered",
        "service": service,
        "environment": "production",
        "started_at": at,
    }


def catalogue() -> str:
    """The storm's services call one another in a tree; the unrelated ones stand alone."""
    lines = ["services:"]
    for number in range(STORM_SERVICES):
        called = [f"shop-{child}" for child in (2 * number + 1, 2 * number + 2) if child < STORM_SERVICES]
        lines.append(f"  - {{name: shop-{number}, depends_on: [{', '.join(called)}]}}")
    lines += [f"  - {{name: billing-{number}}}" for number in range(UNRELATED)]
    return "\n".join(lines) + "\n"
