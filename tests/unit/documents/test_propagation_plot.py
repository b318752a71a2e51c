"""The picture of how a problem spread."""

from __future__ import annotations

import xml.etree.ElementTree as ElementTree

from incident_pipeline.documents.propagation_plot import plot_propagation
from incident_pipeline.models import Evidence, Service, ServiceSymptom, Symptoms
from tests.unit.diagnosis.builders import at, evidence

CHAIN = (
    Service(name="shop", depends_on=("orders",)),
    Service(name="orders", depends_on=("stock", "mail")),
    Service(name="stock"),
    Service(name="mail"),
)
FELT = Symptoms(
    services=(
        ServiceSymptom(service="stock", score=0.8, since=at(-5)),
        ServiceSymptom(service="orders", score=0.2, since=at(-4)),
    )
)


def drawn(given: Evidence, first: str | None, suffering: tuple[str, ...], alerted: tuple[str, ...]) -> str | None:
    picture = plot_propagation(given, FELT, first, suffering, alerted, 100_000)
    return picture.decode() if picture else None


def test_the_origin_is_left_and_arrows_go_to_the_callers() -> None:
    picture = drawn(evidence(services=CHAIN), "stock", ("orders",), ("shop",))
    assert picture is not None
    ElementTree.fromstring(picture)  # noqa: S314  (our own text)
    places = [picture.index(f">{name}</text>") for name in ("stock", "orders", "shop")]
    assert places == sorted(places)
    assert picture.count("marker-end") == 2
    assert "mail" not in picture
    assert "starts here" in picture


def test_hostile_names_are_text_and_one_service_is_no_picture() -> None:
    name = '<script>alert(1)</script>"'
    picture = drawn(evidence(services=(Service(name="a", depends_on=(name,)),)), name, ("a",), ())
    assert picture is not None
    ElementTree.fromstring(picture)  # noqa: S314
    assert "<script" not in picture
    assert drawn(evidence(services=CHAIN), "stock", (), ()) is None
    assert drawn(evidence(services=CHAIN), None, ("orders",), ()) is None


def test_it_never_grows_beyond_its_limit() -> None:
    many = tuple(Service(name=f"s{i}", depends_on=("db",)) for i in range(300))
    picture = drawn(evidence(services=many), "db", tuple(s.name for s in many), ())
    assert picture is not None
    assert len(picture) < 20_000
    assert plot_propagation(evidence(services=CHAIN), FELT, "stock", ("orders",), (), 100) is None
