"""The page on which people decide on actions, in any browser, without a script.

    GET  /approvals                               log in, or the incidents with something to decide
    POST /approvals/login, /approvals/logout
    GET  /approvals/{incident}                    its actions with their dry runs, and what people are asked
    POST /approvals/{incident}/{action}           approve or reject, as it was shown

Belongs here: HTTP and HTML; all text is escaped. Does not belong here: who is logged in (`sessions.py`), what may be
decided (`remediation/approvals.py`).
"""

from __future__ import annotations

from collections.abc import Callable
from datetime import UTC, datetime
from urllib.parse import quote

from starlette.concurrency import run_in_threadpool
from starlette.requests import Request
from starlette.responses import RedirectResponse, Response
from starlette.routing import Route

from incident_pipeline.application import Application
from incident_pipeline.console.admission import Refused
from incident_pipeline.console.feedback_pages import asked_of_incident
from incident_pipeline.console.html_page import answered, html_page, shown
from incident_pipeline.console.sessions import (
    PATH,
    Session,
    Sessions,
    form_of,
    remember,
    same_site,
    secret_field,
)
from incident_pipeline.documents.escape import clean
from incident_pipeline.models import ActionState, RemediationAction
from incident_pipeline.remediation.approvals import Choice, action_hash, decide, proposed, verdict_on
from incident_pipeline.remediation.rehearsals import rehearse
from incident_pipeline.storage.inbox import IncidentRecord

MOST_INCIDENTS = 50
MOST_LINES = 60
"""Of what a dry run said."""
_OVER = ("closed", "merged")
_DECIDABLE = (ActionState.PROPOSED, ActionState.EXPIRED, ActionState.FAILED)


def routes(
    application: Application,
    now: Callable[[], datetime] = lambda: datetime.now(UTC),
    sessions: Sessions | None = None,
) -> list[Route]:
    """The routes, to be mounted in the receiver's application.

    Args:
        application: where plans, the record and the policy are.
        now: the clock.
        sessions: who is logged in, where other pages share it.
    """
    pages = _Pages(application, now, sessions or Sessions(application.scenario.remediation.people))
    return [
        Route(PATH, answered(pages.overview), methods=["GET"]),
        Route(f"{PATH}/login", answered(pages.log_in), methods=["POST"]),
        Route(f"{PATH}/logout", answered(pages.log_out), methods=["POST"]),
        Route(f"{PATH}/{{incident}}", answered(pages.incident), methods=["GET"]),
        Route(f"{PATH}/{{incident}}/{{action}}", answered(pages.decision), methods=["POST"]),
    ]


class _Pages:
    def __init__(self, application: Application, now: Callable[[], datetime], sessions: Sessions) -> None:
        self._application, self._now, self._sessions = application, now, sessions

    async def overview(self, request: Request) -> Response:
        """What there is to decide."""
        session = self._sessions.of(request)
        if session is None:
            return _login(self._sessions)
        found = await run_in_threadpool(self._application.inbox.incidents, MOST_INCIDENTS)
        rows = "".join(_row(record) for record in found if record.status not in _OVER)
        return html_page("Approvals", _who(session) + (f"<ul>{rows}</ul>" if rows else "<p>No incident is open.</p>"))

    async def log_in(self, request: Request) -> Response:
        """A session for whoever has a token."""
        same_site(request)
        form = await form_of(request)
        key = self._sessions.log_in(form.get("token", ""))
        response = RedirectResponse(PATH, status_code=303)
        remember(response, key, request)
        return response

    async def log_out(self, request: Request) -> Response:
        """End the session."""
        self._sessions.genuine(request, await form_of(request))
        self._sessions.log_out(request)
        return RedirectResponse(PATH, status_code=303)

    async def incident(self, request: Request) -> Response:
        """The actions of one incident."""
        session = self._sessions.of(request)
        if session is None:
            return _login(self._sessions)
        incident_id = str(request.path_params["incident"])
        body = await run_in_threadpool(self._actions, incident_id, session)
        return html_page(incident_id, _who(session) + body)

    async def decision(self, request: Request) -> Response:
        """Take one decision, on exactly what was shown."""
        form = await form_of(request)
        session = self._sessions.genuine(request, form)
        incident_id, action_id = str(request.path_params["incident"]), str(request.path_params["action"])
        choice = {"approve": Choice.APPROVED, "reject": Choice.REJECTED}.get(form.get("choice", ""))
        if choice is None:
            raise Refused(400, "say approve or reject")
        made = await run_in_threadpool(
            decide,
            self._application,
            incident_id,
            action_id,
            choice,
            by=session.who,
            via="http",
            now=self._now(),
            origin=request.client.host if request.client else "",
            comment=clean(form.get("comment", ""), 500),
            seen=form.get("seen", ""),
        )
        back = f'<p><a href="{PATH}/{quote(incident_id, safe="")}">All actions</a></p>'
        return html_page(made.action.state.value.capitalize(), f"<p>{shown(made.sentence)}</p>{back}")

    def _actions(self, incident_id: str, session: Session) -> str:
        now = self._now()
        incident = self._application.inbox.incident(incident_id)
        freeze = self._application.inbox.frozen()
        head = f"<p>{shown(incident.title)} <span class=kind>{incident.severity} {incident.status}</span></p>"
        if freeze is not None:
            head += f"<p role=alert>Everything is frozen by {shown(freeze.who)}: {shown(freeze.why)}</p>"
        actions = proposed(self._application, incident_id, now)
        shown_actions = "".join(self._action(incident_id, one, session, now) for one in actions)
        return f"{head}<ol>{shown_actions}</ol>{asked_of_incident(self._application, incident_id, session)}"

    def _action(self, incident_id: str, action: RemediationAction, session: Session, now: datetime) -> str:
        # what tells the team goes out by itself: there is nothing to decide
        to_do = action.call is not None or action.requires_approval
        decidable = action.state in _DECIDABLE and not action.missing and to_do
        rehearsal = rehearse(self._application, incident_id, action, now) if decidable else None
        verdict = verdict_on(self._application, incident_id, action, now)
        rows = [
            ("why", action.why), ("command", action.command or "by hand" * to_do),
            ("where", action.environment or "not known"),
            ("risk", "; ".join([action.risk.value, *action.risk_reasons])), ("expected", action.expected_effect),
            ("verified by", action.verification), ("undo", action.undo), ("needs", "; ".join(action.needs)),
            ("missing", action.missing), ("policy", f"{verdict.mode}, by {verdict.rule}: {verdict.why}"),
        ]  # fmt: skip
        facts = "".join(f"<dt>{name}</dt><dd>{shown(text, 2000)}</dd>" for name, text in rows if text)
        if rehearsal is not None:
            facts += f"<dt>dry run</dt><dd><pre>{_lines(rehearsal.output)}</pre></dd>"
        if action.evidence:
            lines = "".join(f"<li>{shown(line, 500)}</li>" for line in action.evidence)
            facts += f"<dt>evidence</dt><dd><ul>{lines}</ul></dd>"
        form = _decision_form(incident_id, action, session) if decidable or action.state == "approved" else ""
        return f"<li><h2>{shown(action.title)} <span class=kind>{action.state}</span></h2><dl>{facts}</dl>{form}</li>"


def _lines(text: str) -> str:
    return "\n".join(shown(line, 500) for line in text.splitlines()[:MOST_LINES])


def _login(sessions: Sessions) -> Response:
    if not any(person.token for person in sessions.people.values()):
        said = "<p>Nobody has a token yet: name people below remediation.people, each with a token.</p>"
        return html_page("Approvals", said, status=403)
    form = (
        f'<form method=post action="{PATH}/login"><label>Your token '
        "<input type=password name=token autocomplete=current-password required></label><button>Log in</button></form>"
    )
    return html_page("Approvals", form, status=401)


def _who(session: Session) -> str:
    return (
        f'<form method=post action="{PATH}/logout"><span>You are {shown(session.who)}.</span>'
        f"{secret_field(session)}<button>Log out</button></form>"
    )


def _row(record: IncidentRecord) -> str:
    link = f"{PATH}/{quote(record.incident_id, safe='')}"
    return (
        f'<li><a href="{link}">{shown(record.title)}</a> <span class=kind>{record.severity} {record.status}</span></li>'
    )


def _decision_form(incident_id: str, action: RemediationAction, session: Session) -> str:
    target = f"{PATH}/{quote(incident_id, safe='')}/{quote(action.action_id, safe='')}"
    approve = "" if action.state == "approved" else "<button name=choice value=approve>Approve</button>"
    return (
        f'<form method=post action="{target}">{secret_field(session)}'
        f'<input type=hidden name=seen value="{action_hash(action)}">'
        "<label>Comment <input name=comment maxlength=500></label>"
        f"{approve}<button name=choice value=reject>Reject</button></form>"
    )
