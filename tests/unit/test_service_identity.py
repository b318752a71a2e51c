"""One service under many names, and never the wrong one."""

from __future__ import annotations

from datetime import UTC, datetime
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from incident_pipeline.errors import ConfigurationError
from incident_pipeline.evidence.service_identity import SURE, ServiceNames, renamed
from incident_pipeline.evidence.services import load_catalogue
from incident_pipeline.models import Alert, Deployment, LogEntry, MetricSeries, Service

CATALOGUE = (
    Service(name="payments", aliases=("pay", "billing-core")),
    Service(name="checkout-service", aliases=("checkout",)),
    Service(name="cart"),
    Service(name="cart-web"),
    Service(name="redis-cart"),
)
NAMES = ServiceNames(CATALOGUE)
START = datetime(2026, 11, 23, 14, 35, tzinfo=UTC)


@pytest.mark.parametrize(
    ("name", "service"),
    [
        ("payments", "payments"),
        ("pay", "payments"),
        ("Payments", "payments"),
        ("svc:payments", "payments"),
        ("team/payments", "payments"),
        ("deployment/payments", "payments"),
        ("payments-7d9f8c4b5-x2x5p", "payments"),
        ("payments-0", "payments"),
        ("payments.shop.svc.cluster.local:8080", "payments"),
        ("payments:8080", "payments"),
        ("CheckoutService", "checkout-service"),
        ("checkout_service", "checkout-service"),
        ("billing_core-5f6d7c8b9-abcde", "payments"),
        ("cart-7d9f8c4b5-x2x5p", "cart"),
        ("cart-web-7d9f8c4b5-x2x5p", "cart-web"),
    ],
)
def test_names_that_mean_a_service_for_sure(name: str, service: str) -> None:
    match = NAMES.resolve(name)
    assert match is not None
    assert match.service == service
    assert match.certainty >= SURE
    assert NAMES.canonical(name) == service


@pytest.mark.parametrize("name", ["payments-api", "svc:payments-svc"])
def test_a_usual_ending_is_a_guess_and_told_as_one(name: str) -> None:
    match = NAMES.resolve(name)
    assert match is not None
    assert (match.service, match.how) == ("payments", "a usual ending")
    assert match.certainty < SURE
    assert NAMES.canonical(name) == name


@pytest.mark.parametrize(
    "name", [None, "", "repayments", "payment", "redis", "cart-cache", "unknown-7d9f8c4b5-x2x5p", "pay-0-0-x"]
)
def test_names_that_mean_none(name: str | None) -> None:
    assert NAMES.resolve(name) is None
    assert NAMES.canonical(name) == name


def test_a_name_of_two_services_is_none() -> None:
    names = ServiceNames([Service(name="a", aliases=("shared",)), Service(name="b", aliases=("shared", "A"))])
    assert names.resolve("shared") is None
    assert names.resolve("a") is not None
    assert names.unplaced(["a", "shared", None, "shared"]) == ["shared"]


@given(name=st.text(max_size=40))
def test_any_name_gives_a_service_of_the_catalogue_or_none(name: str) -> None:
    match = NAMES.resolve(name)
    assert match is None or match.service in {service.name for service in CATALOGUE}


def test_rows_keep_the_sources_own_word() -> None:
    rows = [
        Deployment(id="1", service="svc:payments"),
        LogEntry(timestamp=START, service="cart", message="m"),
        MetricSeries(name="cpu", service="payments-7d9f8c4b5-x2x5p", labels={"pod": "x"}),
        Alert(source="s", source_id="1", dedup_key="1", title="t", service="PAY", started_at=START),
        LogEntry(timestamp=START, message="m"),
    ]
    found = renamed(rows, NAMES)
    assert [row.service for row in found] == ["payments", "cart", "payments", "payments", None]
    assert found[0].attributes == {"source_service": "svc:payments"}
    assert found[1] is rows[1]
    assert found[2].labels == {"pod": "x", "source_service": "payments-7d9f8c4b5-x2x5p"}
    assert found[3].labels == {"source_service": "PAY"}


def test_catalogues_in_their_shapes(tmp_path: Path) -> None:
    path = tmp_path / "services.yaml"
    path.write_text("services:\n- {name: payments, depends_on: [ledger], owner: shop, aliases: pay}\n- cart\n")
    payments, cart = load_catalogue(path)
    assert (payments.depends_on, payments.owner, payments.aliases) == (("ledger",), "shop", ("pay",))
    assert cart == Service(name="cart")
    path.write_text("payments: {depends_on: [ledger]}\nledger:\n")
    assert [service.name for service in load_catalogue(path)] == ["payments", "ledger"]
    path.write_text(
        "apiVersion: backstage.io/v1alpha1\nkind: Component\nmetadata:\n  name: payments\n"
        "  annotations: {backstage.io/kubernetes-id: payments-prod}\n"
        "spec: {owner: group:default/shop, dependsOn: [component:default/ledger, resource:payments-db]}\n"
        "---\nkind: System\nmetadata: {name: shop}\n---\nkind: Component\nmetadata: {name: ledger}\n"
    )
    payments, ledger = load_catalogue(path)
    assert (payments.depends_on, payments.owner) == (("ledger", "payments-db"), "shop")
    assert payments.aliases == ("payments-prod",)
    assert ledger.name == "ledger"
    assert load_catalogue(tmp_path / "absent.yaml") == ()


@pytest.mark.parametrize(
    "text", ["services: 3", "- {depends_on: [a]}", "a: [", "!!python/object/apply:os.getcwd []", "- 3\n---\n: :"]
)
def test_a_catalogue_that_cannot_be_read_is_one_sentence(tmp_path: Path, text: str) -> None:
    path = tmp_path / "services.yaml"
    path.write_text(text)
    with pytest.raises(ConfigurationError, match="the service catalogue cannot be read") as raised:
        load_catalogue(path)
    assert "\n" not in str(raised.value)


@pytest.mark.parametrize(
    ("name", "service"),
    [
        ("payments-7d9f-x2x", "payments"),
        ("payments-7d9f8c4b5", "payments"),
        ("deployment.apps/payments", "payments"),
        ("replicaset.apps/payments-7d9f8c4b5", "payments"),
        ("service.name=payments", "payments"),
        ("system:serviceaccount:shop:payments", "payments"),
        ("ledger-eu-1", "ledger"),
        ("batch-archive-nightly", None),
        ("payments-fade-bed", None),
    ],
)
def test_names_of_kubernetes_and_opentelemetry_and_patterns(name: str, service: str | None) -> None:
    catalogue = [
        Service(name="payments"),
        Service(name="ledger", aliases=("ledger-*", "ledger-eu-?")),
        Service(name="a", aliases=("batch-*",)),
        Service(name="b", aliases=("*-nightly",)),
    ]
    match = ServiceNames(catalogue).resolve(name)
    assert (match.service if match else None) == service
    assert match is None or match.certainty >= SURE
