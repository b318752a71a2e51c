"""How many alerts per second one receiver accepts, each answered after its commit, and how long the answers take.

    python -m benchmarks.ingest [--seconds 10] [--clients 16] [--json]

A real receiver process (uvicorn, SQLite in WAL mode with synchronous=FULL) and concurrent clients on keep-alive
connections, all on this machine. Cases: one alert per request as fast as the clients can; one alert per request at a
steady 500 requests per second; the same while alerts are being grouped in the same process; 100 alerts per request.
"""

from __future__ import annotations

import argparse
import asyncio
import json
import sys
import tempfile
import time
from collections.abc import AsyncIterator, Callable
from dataclasses import dataclass, field
from itertools import count
from pathlib import Path
from typing import Any

from tests.receiving import Connection, Receiver, body_of
from tests.storms import make_storm

STEADY_RATE = 500.0


@dataclass
class Case:
    """One way to send."""

    name: str
    alerts_per_request: int = 1
    rate: float | None = None
    group: bool = False
    waits: list[float] = field(default_factory=list)
    seconds: float = 0.0
    refused: int = 0
    cpu_seconds: float = 0.0

    def result(self) -> dict[str, Any]:
        """Alerts per second and percentiles of the answers, in milliseconds."""
        waits = sorted(self.waits)

        def percentile(share: float) -> float:
            return round(waits[min(int(share * len(waits)), len(waits) - 1)] * 1000, 1)

        return {
            "case": self.name,
            "alerts_per_second": round(len(waits) * self.alerts_per_request / self.seconds),
            "requests_per_second": round(len(waits) / self.seconds),
            "p50_ms": percentile(0.5),
            "p95_ms": percentile(0.95),
            "p99_ms": percentile(0.99),
            "receiver_cpu_ms_per_alert": round(self.cpu_seconds * 1000 / (len(waits) * self.alerts_per_request), 2),
            "refused": self.refused,
        }


CASES = (
    Case("one alert a request, as fast as possible"),
    Case("one alert a request, 500 a second", rate=STEADY_RATE),
    Case("the same, grouping beside it", rate=STEADY_RATE, group=True),
    Case("100 alerts a request, as fast as possible", alerts_per_request=100),
)


async def _ticks(seconds: float, rate: float | None) -> AsyncIterator[float]:
    """When each request should have been sent; without a rate, at once."""
    start = time.perf_counter()
    for number in count():
        due = start + number / rate if rate else time.perf_counter()
        if due - start >= seconds:
            return
        wait = due - time.perf_counter()
        if wait > 0:
            await asyncio.sleep(wait)
        yield due


async def _drive(case: Case, port: int, clients: int, seconds: float, body: Callable[[], bytes]) -> None:
    free: asyncio.Queue[Connection] = asyncio.Queue()
    for _ in range(clients):
        free.put_nowait(Connection(port))
    tasks: set[asyncio.Task[None]] = set()

    async def send(connection: Connection, due: float) -> None:
        status, _ = await connection.ask("POST", "/webhooks/custom", body())
        if status == 202:
            case.waits.append(time.perf_counter() - due)
        else:
            case.refused += 1
        free.put_nowait(connection)

    start = time.perf_counter()
    async for due in _ticks(seconds, case.rate):
        connection = await free.get()
        # with a rate, waiting for a free connection counts too: nobody hides behind a slow answer
        task = asyncio.create_task(send(connection, due if case.rate else time.perf_counter()))
        tasks.add(task)
        task.add_done_callback(tasks.discard)
    await asyncio.gather(*tasks)
    case.seconds = time.perf_counter() - start


def run(seconds: float, clients: int) -> list[dict[str, Any]]:
    """Run every case on a receiver of its own."""
    # the clients share two cores with the receiver: what they send is made before
    storm = make_storm(1, alerts=5_000, unrelated=0).alerts
    ready = [body_of([each.model_copy(update={"source_id": "alert-@"})]).decode() for each in storm]
    results = []
    for case in CASES:
        numbers = count()

        def body(size: int = case.alerts_per_request, numbers: Any = numbers) -> bytes:
            some = [ready[n % len(ready)].replace("@", str(n)) for n in (next(numbers) for _ in range(size))]
            return (some[0] if size == 1 else f"[{','.join(some)}]").encode()

        with tempfile.TemporaryDirectory() as folder, Receiver(Path(folder), group=case.group) as receiver:
            before = receiver.cpu_seconds
            asyncio.run(_drive(case, receiver.port, clients, seconds, body))
            case.cpu_seconds = receiver.cpu_seconds - before
        results.append(case.result())
    return results


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--seconds", type=float, default=10.0)
    parser.add_argument("--clients", type=int, default=16)
    parser.add_argument("--json", action="store_true")
    options = parser.parse_args()
    results = run(options.seconds, options.clients)
    if options.json:
        json.dump(results, sys.stdout, indent=2)
        return
    for result in results:
        sys.stdout.write("  ".join(f"{name}: {value}" for name, value in result.items()) + "\n")


if __name__ == "__main__":
    main()
