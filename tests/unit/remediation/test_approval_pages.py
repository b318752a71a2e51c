"""The page of approvals: who gets in, what is shown, what is taken, and what a forged or hostile request gets."""

from __future__ import annotations

import asyncio
import re
from dataclasses import dataclass, field
from pathlib import Path
from urllib.parse import urlencode

import pytest
from starlette.applications import Starlette

from incident_pipeline.console.approval_pages import routes
from incident_pipeline.errors import ConfigurationError
from incident_pipeline.remediation.approvals import action_hash
from tests.unit.intake.test_receiver import Answer, ask
from tests.unit.remediation.place import NOW, Place, an_action

DANA, ERIN = "dana-token-0123456789", "erin-token-0123456789"
PEOPLE = {"dana": {"token": DANA}, "erin": {"token": ERIN}, "mallory": {}}
HOSTILE = "<script>alert(1)</script>\x1b[31m"


@dataclass
class Browser:
    app: Starlette
    headers: dict[str, str] = field(default_factory=dict)

    def get(self, path: str) -> Answer:
        return asyncio.run(ask(self.app, path, None, self.headers))

    def post(self, path: str, headers: dict[str, str] | None = None, **form: str) -> Answer:
        given = {"content-type": "application/x-www-form-urlencoded", **self.headers, **(headers or {})}
        return asyncio.run(ask(self.app, path, [urlencode(form).encode()], given))

    def log_in(self, token: str) -> Answer:
        answer = self.post("/approvals/login", token=token)
        if "set-cookie" in answer.headers:
            self.headers["cookie"] = answer.headers["set-cookie"].partition(";")[0]
        return answer

    def secret(self, path: str) -> str:
        return found(r'name=secret value="([^"]+)"', self.get(path))


def found(pattern: str, answer: Answer) -> str:
    match = re.search(pattern, answer.body.decode())
    assert match, answer.body.decode()
    return match[1]


@pytest.fixture
def place(tmp_path: Path) -> Place:
    made = Place(tmp_path, {"people": PEOPLE, "approvers": ["dana"]}, "production")
    made.plan(an_action(title=f"Rollback {HOSTILE}", why=HOSTILE, call=None))
    return made


@pytest.fixture
def browser(place: Place) -> Browser:
    return Browser(Starlette(routes=routes(place.application, lambda: NOW)))


def path_of(place: Place) -> str:
    return f"/approvals/{place.incident_id}"


def test_a_person_logs_in_sees_what_is_planned_and_approves_it(place: Place, browser: Browser) -> None:
    assert browser.get("/approvals").status == 401
    cookie = browser.log_in(DANA).headers["set-cookie"].lower()
    assert "httponly" in cookie
    assert "samesite=strict" in cookie
    assert place.incident_id in browser.get("/approvals").body.decode()
    page = browser.get(path_of(place))
    seen = found(r'name=seen value="([^"]+)"', page)
    assert seen == action_hash(place.store.remediation.actions[0])  # type: ignore[union-attr]
    answer = browser.post(
        f"{path_of(place)}/rollback-1a2b3c", secret=browser.secret(path_of(place)), seen=seen, choice="approve"
    )
    assert answer.status == 200
    (decision,) = place.application.inbox.action_decisions(place.incident_id)
    assert (decision.who, decision.via, decision.origin) == ("dana", "http", "127.0.0.1")


def test_text_from_outside_does_nothing_on_the_page(place: Place, browser: Browser) -> None:
    browser.log_in(DANA)
    answer = browser.get(path_of(place))
    assert "<script" not in answer.body.decode()
    assert "\x1b" not in answer.body.decode()
    assert "default-src 'none'" in answer.headers["content-security-policy"]


@pytest.mark.parametrize("token", ["", "wrong-token-0123456789", DANA[:-1]])
def test_a_wrong_token_gets_nowhere(browser: Browser, token: str) -> None:
    assert browser.log_in(token).status == 403
    assert "cookie" not in browser.headers


def test_guessing_is_slowed_down(browser: Browser) -> None:
    answers = [browser.log_in(f"guess-{number:020}").status for number in range(12)]
    assert answers[-1] == 429


ATTACKS: dict[str, tuple[int, dict[str, str], dict[str, str]]] = {
    "no session": (401, {"cookie": ""}, {}),
    "a made-up session": (401, {"cookie": "incident_pipeline_session=abc"}, {}),
    "no secret": (403, {}, {"secret": ""}),
    "a wrong secret": (403, {}, {"secret": "x" * 43}),
    "another site by origin": (403, {"origin": "https://evil.example"}, {}),
    "another site by fetch metadata": (403, {"sec-fetch-site": "cross-site"}, {}),
    "a sandboxed frame": (403, {"origin": "null"}, {}),
    "not a form": (415, {"content-type": "text/plain"}, {}),
    "no choice": (400, {}, {"choice": "maybe"}),
    "what is not planned any more": (409, {}, {"seen": "0" * 64}),
    "nothing seen at all": (409, {}, {"seen": ""}),
}


@pytest.mark.parametrize("attack", ATTACKS)
def test_forged_requests_change_nothing(place: Place, browser: Browser, attack: str) -> None:
    status, headers, form = ATTACKS[attack]
    browser.log_in(DANA)
    action = place.store.remediation.actions[0]  # type: ignore[union-attr]
    good = {"secret": browser.secret(path_of(place)), "seen": action_hash(action), "choice": "approve"}
    answer = browser.post(f"{path_of(place)}/rollback-1a2b3c", headers, **{**good, **form})
    assert answer.status == status
    assert place.application.inbox.action_decisions(place.incident_id) == []


def test_somebody_else_s_secret_is_not_good(place: Place, browser: Browser) -> None:
    other = Browser(browser.app)
    other.log_in(ERIN)
    browser.log_in(DANA)
    form = {"secret": other.secret(path_of(place)), "seen": "x", "choice": "approve"}
    assert browser.post(f"{path_of(place)}/rollback-1a2b3c", **form).status == 403


def test_who_may_not_decide_is_told_so(place: Place, browser: Browser) -> None:
    browser.log_in(ERIN)
    action = place.store.remediation.actions[0]  # type: ignore[union-attr]
    form = {"secret": browser.secret(path_of(place)), "seen": action_hash(action), "choice": "approve"}
    answer = browser.post(f"{path_of(place)}/rollback-1a2b3c", **form)
    assert answer.status == 409
    assert "erin may not decide" in answer.body.decode()


def test_who_logs_out_is_out(browser: Browser, place: Place) -> None:
    browser.log_in(DANA)
    assert browser.post("/approvals/logout", secret=browser.secret(path_of(place))).status == 303
    assert browser.get("/approvals").status == 401


def test_what_is_not_there_is_one_sentence(browser: Browser) -> None:
    browser.log_in(DANA)
    answer = browser.get("/approvals/INC-none")
    assert answer.status == 404
    assert "there is no incident" in answer.body.decode()


def test_without_people_nobody_gets_in(tmp_path: Path) -> None:
    place = Place(tmp_path, {}, "production")
    browser = Browser(Starlette(routes=routes(place.application)))
    assert browser.get("/approvals").status == 403
    assert browser.log_in("").status == 403


def test_a_short_token_is_a_mistake(tmp_path: Path) -> None:
    from incident_pipeline.configuration.file import load_scenario

    (tmp_path / "incident.yaml").write_text("scenario: {remediation: {people: {dana: {token: '${T}'}}}}")
    with pytest.raises(ConfigurationError, match="shorter than 16 characters") as caught:
        load_scenario(tmp_path / "incident.yaml", environ={"T": "short-one"})
    assert "short-one" not in str(caught.value)
