"""kill -9 of any process at any moment: each accepted alert is in exactly one incident, each incident diagnosed."""

from __future__ import annotations

import random
import time
import urllib.error
from collections import Counter
from pathlib import Path

import dagster as dg
import pytest

from assets.dead_runs import UNFINISHED
from assets.instance import open_home
from tests.e2e.conftest import SetUp
from tests.e2e.stack import ONE_DIAGNOSIS, Stack, alert, kill, wait_for

VICTIMS = {
    "receiver": "incident_pipeline.console.serve",
    "daemon": "dagster._daemon",
    "code server": "api grpc",
    "web server": "dagster_webserver",
    "runner": "assets.runner",
    "worker": "celery",
    "everything": "",
}
ALERTS_A_ROUND = 3


def victims(stack: Stack, who: str, rng: random.Random) -> list[int]:
    """The processes to kill; forked runs carry the command line of what forked them, so each of them may be the one."""
    found = stack.pids(VICTIMS[who])
    return [rng.choice(found)] if who in ("runner", "worker") and found else found


def send_until_accepted(stack: Stack, number: int) -> bool:
    """Whether the alert was answered 2xx; a receiver that was killed answers nothing."""
    try:
        return stack.send(alert(number, f"service-{number}")) == 202
    except (urllib.error.URLError, ConnectionError, TimeoutError):
        return False


def unfinished_runs(stack: Stack) -> list[str]:
    home = stack.data_dir / "dagster"
    with open_home(home) as instance:
        return [run.run_id for run in instance.get_runs(dg.RunsFilter(statuses=UNFINISHED))]


@pytest.mark.timeout(1800)
def test_killed_at_random_moments_nothing_is_lost_and_nothing_is_stuck(
    set_up: SetUp, tmp_path: Path, rng: random.Random, whole: bool
) -> None:
    # empty: any of those that there are
    rounds = [""] * 40 if whole else ["everything", ""]
    accepted: set[str] = set()
    with set_up(tmp_path, ONE_DIAGNOSIS) as stack:
        for turn, wanted in enumerate(rounds):
            for number in range(turn * ALERTS_A_ROUND, (turn + 1) * ALERTS_A_ROUND):
                if send_until_accepted(stack, number):
                    accepted.add(f"alert-{number}")
            moment = rng.uniform(0, 4)
            time.sleep(moment)  # there is nothing to await: the moment is what is tested
            stack.tend()
            who = wanted or rng.choice([name for name, word in sorted(VICTIMS.items()) if stack.pids(word)])
            print(f"round {turn}: kill {who} after {moment:.2f} s")
            if who == "everything":
                stack.kill_everything()
                stack.start()
            else:
                for pid in victims(stack, who, rng):
                    kill(pid)
        assert accepted

        def all_diagnosed() -> bool:
            stack.tend()
            records = stack.incidents()
            return (
                bool(records)
                and all(r.diagnosed_at for r in records)
                and sum(r.alerts for r in records) == len(accepted)
            )

        # all that was sent while parts of it were dead is diagnosed now
        wait_for("diagnosis of every incident", all_diagnosed, seconds=240 + 8 * len(accepted))
        inbox = stack.inbox
        members = Counter(
            a.source_id for record in inbox.incidents() for a in inbox.incident(record.incident_id).alerts
        )
        inbox.close()
        assert set(members) == accepted
        assert set(members.values()) == {1}
        wait_for("end of every run", lambda: not unfinished_runs(stack), seconds=120)
