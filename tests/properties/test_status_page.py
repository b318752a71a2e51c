"""Nothing internal reaches the public page: not a host, a commit, a person, a customer, a title, a cause."""

from __future__ import annotations

from hypothesis import given
from hypothesis import strategies as st

from incident_pipeline.communication.status_page import status_page_draft
from incident_pipeline.config import Communication
from incident_pipeline.connectors.statuspage import COMPONENT_STATUSES, IMPACTS, LONGEST_NAME, STATUSES
from incident_pipeline.models import IncidentStatus, Severity
from tests.unit import scenes

PUBLIC = Communication(
    status_page=True, public_names={"payments": "Card payments"}, components={"payments": "cmp1", "search": "cmp2"}
)
INTERNAL = st.one_of(
    st.from_regex(
        r"(db|cache|node|ip-10-0)-[a-z0-9]{3,8}\.(internal|prod\.example\.net|svc\.cluster\.local)", fullmatch=True
    ),
    st.from_regex(r"[0-9a-f]{7,40}", fullmatch=True),
    st.from_regex(r"[A-Z][a-z]{3,9} [A-Z][a-z]{4,12}", fullmatch=True),
    st.from_regex(r"[a-z]{3,8}@[a-z]{3,8}\.example", fullmatch=True),
    st.from_regex(r"Customer (ACME|Globex|Initech) [A-Z]{4}", fullmatch=True),
    st.from_regex(r"v\d{1,2}\.\d{1,3}\.\d{1,3}-rc\d", fullmatch=True),
    st.sampled_from(["SELECT * FROM cards", "{{ secrets }}", "<!channel>", "10.2.3.4", "https://wiki.internal/x"]),
)


@given(
    secret=INTERNAL,
    status=st.sampled_from(list(IncidentStatus)),
    severity=st.sampled_from(list(Severity)),
    services=st.lists(st.sampled_from(["payments", "search", "ledger-internal"]), max_size=3),
)
def test_no_text_of_the_incident_is_published(
    secret: str, status: IncidentStatus, severity: Severity, services: list[str]
) -> None:
    alert = scenes.alert(title=f"{secret} is down", summary=secret, labels={"host": secret, "customer": secret})
    incident = scenes.incident(
        [alert],
        title=f"{secret} is down",
        status=status,
        severity=severity,
        services=(*services, secret),
        environment=secret,
        resolved_at=scenes.at(15, 0) if status is IncidentStatus.RESOLVED else None,
    )
    draft = status_page_draft(incident, [secret, "ledger-internal"], PUBLIC, None)
    published = draft.model_dump_json()
    assert secret not in published
    assert "ledger" not in published
    assert incident.incident_id not in published
    assert draft.status in STATUSES
    assert draft.impact in IMPACTS
    assert set(draft.components.values()) <= set(COMPONENT_STATUSES)
    assert 0 < len(draft.name) <= LONGEST_NAME
    assert ("Card payments" in published) is ("payments" in services)
    assert ("cmp1" in published) is ("payments" in services)


def test_the_draft_says_what_users_feel() -> None:
    draft = status_page_draft(scenes.incident(), ["checkout"], PUBLIC, None)
    assert draft.name == "Problem with Card payments"
    assert draft.body == (
        "Since 2026-03-17 14:35 UTC some requests to Card payments fail or are slow. We are looking into it."
    )
    assert (draft.status, draft.impact, draft.components) == ("investigating", "critical", {"cmp1": "major_outage"})
    over = status_page_draft(
        scenes.incident(status=IncidentStatus.RESOLVED, resolved_at=scenes.at(15, 0)), [], PUBLIC, None
    )
    assert over.body == "Card payments works normally again. This incident is over."
    assert over.components == {"cmp1": "operational"}
    unnamed = status_page_draft(scenes.incident(services=("ledger",)), [], PUBLIC, None)
    assert unnamed.name == "Problem with one of our services"
