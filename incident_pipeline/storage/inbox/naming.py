"""Names for new incidents that no incident has yet.

Belongs here: asking the inbox whether a name is free. Does not belong here: what names look like.
"""

from __future__ import annotations

import sqlalchemy as sa

from incident_pipeline.intake.identity import incident_id
from incident_pipeline.models import Alert
from incident_pipeline.storage.inbox.schema import incidents


def free_name(connection: sa.Connection, alert: Alert, taken: set[str]) -> str:
    """The name of the incident that begins with an alert; with a number behind it where it is in use.

    Args:
        connection: within the transaction that will use the name.
        alert: the first alert.
        taken: names given out in this transaction already; the new one is added.
    """
    first = name = incident_id(alert)
    number = 1
    while name in taken or connection.execute(sa.select(incidents.c.title).filter_by(incident_id=name)).first():
        number += 1
        name = f"{first}-{number}"
    taken.add(name)
    return name
