"""What the knowledge base lacks, beside what happened and what exists."""

from __future__ import annotations

from incident_pipeline.knowledge.coverage import Stale, coverage
from incident_pipeline.models import Service
from kb import Document

COMMANDS = """Restart it:

```bash
kubectl rollout undo deployment/payments -n shop
kubectl scale deploy/old-cart --replicas=2
kubectl logs -l app=payments
kubectl get deployment $NAME; kubectl delete svc <service>
systemctl restart ledgerd
```

A deployment of sentences is no command. Use `argocd app sync basket`.
"""
RUNBOOKS = [
    Document("rb/payments", "runbook", "Payments fails", COMMANDS, services=("payments",)),
    Document("rb/idle", "runbook", "Nothing needs it", "The search-api is slow."),
    Document("starter/redis-down", "runbook", "Redis", "`systemctl restart redis`"),
    Document("pm/1", "postmortem", "basket failed", "`kubectl delete deploy/gone`"),
]
CATALOGUE = [Service(name="payments"), Service(name="cart", aliases=("basket",)), Service(name="search-api")]


def test_services_without_a_runbook() -> None:
    found = coverage(RUNBOOKS, ["payments", "search-api", "search", "mailer"], (), CATALOGUE)
    assert found.without_runbook == ("mailer", "search")


def test_runbooks_that_nothing_needed() -> None:
    assert coverage(RUNBOOKS, [], {"rb/payments"}, CATALOGUE).never_matched == ("rb/idle",)
    assert coverage(RUNBOOKS, [], (), CATALOGUE).never_matched == (), "nothing was suggested yet"


def test_commands_about_what_no_longer_exists() -> None:
    found = coverage(RUNBOOKS, [], (), CATALOGUE).stale
    assert found == (Stale("rb/payments", "ledgerd"), Stale("rb/payments", "old-cart"))
    assert coverage(RUNBOOKS, [], (), []).stale == (), "without a catalogue nothing is known to be gone"
