"""Who is on call, as one line of the update: whom to ask at 03:00."""

from __future__ import annotations

from collections.abc import Sequence

from incident_pipeline.models import OnCall

MOST_PEOPLE = 4


def on_call_text(rows: Sequence[OnCall], services: Sequence[str]) -> str:
    """`Ana Silva (payments, Payments primary)`: the first levels of the incident's services.

    Where no row is known to be for one of them, everybody who is called first is told, if they are few: with more
    of them nobody would know whom to call.
    """
    ours = [row for row in rows if row.service in services]
    first = [row for row in ours or rows if row.level in (None, 1)]
    people = list(dict.fromkeys(_person(row) for row in first))
    if not ours and len(people) > MOST_PEOPLE:
        return ""
    return ", ".join(people[:MOST_PEOPLE])


def _person(row: OnCall) -> str:
    about = ", ".join(dict.fromkeys(text for text in (row.service, row.policy) if text))
    return f"{row.name} ({about})" if about else row.name
