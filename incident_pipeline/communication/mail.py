"""A notice as an e-mail: text and HTML of the same Markdown.

Belongs here: headers and parts. Does not belong here: what the notice says, and sending it.
"""

from __future__ import annotations

import hashlib
from collections.abc import Sequence
from email.message import EmailMessage
from email.utils import format_datetime, parseaddr

from incident_pipeline.communication.rich_text import readable
from incident_pipeline.documents.escape import clean
from incident_pipeline.documents.html import html
from incident_pipeline.storage.inbox.outbox import Message


def notice_mail(message: Message, sender: str, addresses: Sequence[str]) -> EmailMessage:
    """The mail of a message; the same message gives the same Message-ID, and those of one incident stand together.

    Args:
        message: its content has `subject`, `markdown` and `thread`.
        sender: the address that it comes from.
        addresses: where it goes.
    """
    text = str(message.content["markdown"])
    domain = parseaddr(sender)[1].rpartition("@")[2]
    mail = EmailMessage()
    mail["From"] = sender
    mail["To"] = ", ".join(addresses)
    mail["Subject"] = clean(str(message.content["subject"]), 200)
    mail["Date"] = format_datetime(message.created_at)
    mail["Message-ID"] = f"<{_digest(message.key)}@{domain}>"
    mail["References"] = f"<{_digest(str(message.content['thread']))}@{domain}>"
    # answers of absence are not for us
    mail["Auto-Submitted"] = "auto-generated"
    mail.set_content(readable(text))
    mail.add_alternative(html(text), subtype="html")
    return mail


def _digest(text: str) -> str:
    return hashlib.sha256(text.encode()).hexdigest()[:32]
