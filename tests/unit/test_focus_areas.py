"""Focus areas by path."""

from __future__ import annotations

import pytest

from incident_pipeline.evidence.focus_areas import focus_areas_of, with_focus_areas
from incident_pipeline.models import CodeChange

AREAS = ("config", "database", "api", "dependencies")


@pytest.mark.parametrize(
    ("path", "areas"),
    [
        ("config/production.yaml", {"config"}),
        ("src/settings.py", {"config"}),
        ("deploy/helm/values.yaml", {"config"}),
        ("db/migrations/0042_add_index.sql", {"database"}),
        ("src/models/order.py", {"database"}),
        ("internal/api/handler.go", {"api"}),
        ("proto/cart.proto", {"api"}),
        ("src/routes/checkout.ts", {"api"}),
        ("package-lock.json", {"dependencies"}),
        ("services/cart/go.mod", {"dependencies"}),
        ("requirements-dev.txt", {"dependencies"}),
        ("pyproject.toml", {"config", "dependencies"}),
        ("README.md", set()),
        ("src/therapist.py", set()),
        ("src/reconfigure.py", set()),
        ("", set()),
    ],
)
def test_the_areas_of_the_specification(path: str, areas: set[str]) -> None:
    assert set(focus_areas_of([path], AREAS)) == areas


def test_any_other_area_is_a_path_or_a_pattern() -> None:
    assert focus_areas_of(["billing/tax.py"], ("billing", "bill", "*.py", "billing/*")) == (
        "billing",
        "*.py",
        "billing/*",
    )


def test_changes_keep_what_their_source_named() -> None:
    change = CodeChange(sha="a", files=("go.mod",), focus_areas=("x",))
    assert with_focus_areas([change], AREAS)[0].focus_areas == ("x", "dependencies")
    assert with_focus_areas([change], ()) == (change,)
