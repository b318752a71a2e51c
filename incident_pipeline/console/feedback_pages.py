"""Where people say on the pages what helped and what it was, without a script.

    POST /kb/feedback                a document that was found, or suggested for an incident, helped or did not
    POST /kb/confirm                 the cause of an incident

Belongs here: these forms, and what is taken of them; all text is escaped. Who speaks is whoever is logged in
(`sessions.py`). Does not belong here: what a statement means (`incident_pipeline/knowledge/feedback.py`).
"""

from __future__ import annotations

from collections.abc import Callable
from datetime import UTC, datetime
from html import escape
from urllib.parse import quote

from starlette.concurrency import run_in_threadpool
from starlette.requests import Request
from starlette.responses import Response
from starlette.routing import Route

from incident_pipeline.application import Application
from incident_pipeline.console.admission import Refused
from incident_pipeline.console.html_page import answered, html_page, shown
from incident_pipeline.console.sessions import PATH, Session, Sessions, form_of, secret_field
from incident_pipeline.documents.escape import clean
from incident_pipeline.knowledge.feedback import judge_document, judge_suggestion, suggested
from incident_pipeline.models import Category

_FEEDBACK, _CONFIRM = "/kb/feedback", "/kb/confirm"
_LONGEST_CAUSE, _MOST_RUNBOOKS = 2_000, 5


def routes(
    application: Application, sessions: Sessions, now: Callable[[], datetime] = lambda: datetime.now(UTC)
) -> list[Route]:
    """The routes, to be mounted in the receiver's application.

    Args:
        application: whose memory and incidents it is about.
        sessions: who is logged in.
        now: the clock.
    """

    async def feedback(request: Request) -> Response:
        form = await form_of(request)
        session = sessions.genuine(request, form)
        useful = {"useful": True, "rejected": False}.get(form.get("verdict", ""))
        if useful is None:
            raise Refused(400, "say useful or rejected")
        document, incident = form.get("document", ""), form.get("incident", "")
        if incident:
            await run_in_threadpool(judge_suggestion, application, incident, document, useful, session.who, now())
        else:
            asked = form.get("question", "")
            await run_in_threadpool(judge_document, application, document, asked, useful, session.who, now())
        return _thanks(f"{document} {'helped' if useful else 'did not help'}.", incident)

    async def confirm(request: Request) -> Response:
        form = await form_of(request)
        session = sessions.genuine(request, form)
        incident, cause = form.get("incident", ""), clean(form.get("cause", ""), _LONGEST_CAUSE)
        fixed_by = clean(form.get("fixed_by", ""), 500) or None
        if not cause:
            raise Refused(400, "say what the cause was")
        await run_in_threadpool(
            application.inbox.confirm, incident, cause, session.who, now(), _category(form), fixed_by
        )
        return _thanks(f"The cause of {incident} is confirmed.", incident)

    return [
        Route(_FEEDBACK, answered(feedback), methods=["POST"]),
        Route(_CONFIRM, answered(confirm), methods=["POST"]),
    ]


def verdict_form(session: Session, document: str, **about: str) -> str:
    """Two buttons below a document.

    Args:
        session: whose buttons they are.
        document: its id.
        about: `question` or `incident`, what it was found for.
    """
    fields = "".join(_hidden(name, value) for name, value in {"document": document, **about}.items())
    return (
        f'<form method=post action="{_FEEDBACK}">{secret_field(session)}{fields}'
        "<button name=verdict value=useful>Useful</button>"
        "<button name=verdict value=rejected>Not useful</button></form>"
    )


def asked_of_incident(application: Application, incident_id: str, session: Session) -> str:
    """What people are asked below an incident: whether the runbooks helped, and what the cause was.

    Raises:
        NotFoundError: there is no such incident.
    """
    runbooks = suggested(application, incident_id)[:_MOST_RUNBOOKS]
    rows = "".join(
        f"<li>{shown(one.title)} <span class=kind>{shown(one.why)}</span>"
        f"{verdict_form(session, one.runbook_id, incident=incident_id)}</li>"
        for one in runbooks
    )
    helped = f"<h2>Did these runbooks help?</h2><ol>{rows}</ol>" if rows else ""
    return f"{helped}<h2>What was the cause?</h2>{_cause_form(application, incident_id, session)}"


def _cause_form(application: Application, incident_id: str, session: Session) -> str:
    said = application.inbox.confirmation(incident_id)
    diagnosis = application.store.read_all(incident_id, ("diagnosis",)).get("diagnosis")
    primary = diagnosis.primary if diagnosis is not None else None
    head = f"<p>Confirmed by {shown(said.who)}: {shown(said.cause or '', _LONGEST_CAUSE)}</p>" if said else ""
    cause = shown((said.cause if said else primary.description if primary else "") or "", _LONGEST_CAUSE)
    category = said.category if said else primary.category if primary else None
    options = "".join(
        f'<option value="{value}"{" selected" if value == (category or "") else ""}>{value or "as diagnosed"}</option>'
        for value in ("", *(one.value for one in Category))
    )
    return (
        f'{head}<form method=post action="{_CONFIRM}">{secret_field(session)}{_hidden("incident", incident_id)}'
        f'<label>Cause <input name=cause size=50 required maxlength={_LONGEST_CAUSE} value="{cause}">'
        f"</label><label>Category <select name=category>{options}</select></label>"
        "<label>Fixed by <input name=fixed_by maxlength=500></label><button>Confirm</button></form>"
    )


def _category(form: dict[str, str]) -> Category | None:
    given = form.get("category", "")
    if given and given not in {one.value for one in Category}:
        raise Refused(400, "there is no such category")
    return Category(given) if given else None


def _hidden(name: str, value: str) -> str:
    return f'<input type=hidden name={name} value="{escape(value)}">'


def _thanks(sentence: str, incident: str) -> Response:
    back = f"{PATH}/{quote(incident, safe='')}" if incident else "/kb"
    return html_page("Noted", f'<p>{shown(sentence)} Later answers heed it.</p><p><a href="{back}">Back</a></p>')
