import json
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager
from datetime import UTC, datetime
from http.server import BaseHTTPRequestHandler, HTTPServer
from pathlib import Path
from typing import Any

import pytest

from incident_pipeline.storage.inbox import Inbox
from tests.unit.cli.runner import call, process

NOWHERE = 9  # the discard port: nothing listens there


@contextmanager
def somebody(status: int, answer: Any = None) -> Iterator[tuple[int, list[tuple[str, str | None, Any]]]]:
    """Something that answers on a port of its own; gives the port, and what it was sent."""
    seen: list[tuple[str, str | None, Any]] = []

    class Handler(BaseHTTPRequestHandler):
        def do_POST(self) -> None:
            body = json.loads(self.rfile.read(int(self.headers["Content-Length"])))
            seen.append((self.path, self.headers["Authorization"], body))
            text = json.dumps({"accepted": len(body)} if answer is None else answer).encode()
            self.send_response(status)
            self.send_header("Content-Length", str(len(text)))
            self.end_headers()
            self.wfile.write(text)

        def log_message(self, *_: Any) -> None:
            """Quiet."""

    server = HTTPServer(("127.0.0.1", 0), Handler)
    thread = threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.01})
    thread.start()
    try:
        yield server.server_port, seen
    finally:
        server.shutdown()
        thread.join()
        server.server_close()


@pytest.fixture
def place(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.chdir(tmp_path)
    configure(tmp_path, NOWHERE)
    return tmp_path


def configure(folder: Path, port: int, more: str = "") -> None:
    (folder / "incident.yaml").write_text(f"scenario:\n  receiver:\n    port: {port}\n{more}")


def stored(folder: Path) -> list[dict[str, Any]]:
    listed: list[dict[str, Any]] = json.loads(call("incidents", "list", "--json").stdout)
    return listed


def test_through_the_receiver_where_it_answers(place: Path) -> None:
    with somebody(202) as (port, seen):
        configure(place, port)
        result = call("alert", "--title", "Payment errors", "--service", "payments", "--severity", "P1")
    assert result.stdout == f"1 alert accepted by the receiver at http://127.0.0.1:{port}\n"
    ((path, authorization, (sent,)),) = seen
    assert (path, authorization) == ("/webhooks/custom", None)
    assert (sent["title"], sent["service"], sent["severity"], sent["status"]) == (
        "Payment errors",
        "payments",
        "P1",
        "triggered",
    )
    assert not (place / "data" / "inbox.sqlite").exists()


def test_with_the_configured_token_and_to_this_machine_where_the_receiver_listens_everywhere(
    place: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("RECEIVER_TOKEN", "t0ken")
    with somebody(202) as (port, seen):
        configure(place, port, '    host: "0.0.0.0"\n    tokens: {custom: "${RECEIVER_TOKEN}"}\n')
        call("alert", "--title", "x")
    assert seen[0][1] == "Bearer t0ken"


def test_straight_into_the_inbox_where_nobody_answers(place: Path) -> None:
    answer = json.loads(call("alert", "--title", "Payment errors", "--service", "payments", "--json").stdout)
    assert (answer["accepted"], answer["through"]) == (1, "inbox")
    (incident,) = stored(place)
    assert answer["incidents"] == [incident["incident_id"]]
    assert (incident["title"], incident["services"], incident["alerts"]) == ("Payment errors", ["payments"], 1)


@pytest.mark.parametrize(("status", "answer"), [(401, {"error": "no"}), (500, {}), (200, {"hello": 1}), (202, [])])
def test_straight_into_the_inbox_where_what_answers_does_not_take_it(place: Path, status: int, answer: Any) -> None:
    with somebody(status, answer) as (port, _):
        configure(place, port)
        result = call("alert", "--title", "x")
    assert result.stdout.startswith("1 alert put straight into the inbox (")
    assert len(stored(place)) == 1


def test_a_named_data_dir_is_not_passed_over_for_the_receiver_of_another(place: Path) -> None:
    words = ["alert", "--title", "x", "--json", "--data-dir", "mine"]
    with somebody(202) as (port, seen):
        configure(place, port)
        answer = json.loads(call(*words).stdout)
        assert (answer["through"], answer["why"], seen) == ("inbox", f"no receiver writes to {place / 'mine'}", [])
        inbox = Inbox.open(place / "mine" / "inbox.sqlite")
        inbox.heartbeat("receiver", datetime.now(UTC))
        inbox.close()
        assert json.loads(call(*words).stdout)["through"] == "receiver"


def test_one_or_a_list_on_stdin(place: Path) -> None:
    one = {"title": "a", "service": "payments", "started_at": "2026-11-23T14:35:00Z", "labels": {"team": "x"}}
    assert call("alert", stdin=json.dumps(one)).exit_code == 0
    several = [{**one, "service": name, "environment": name} for name in ("payments", "checkout", "search")]
    assert json.loads(call("alert", "--json", stdin=json.dumps(several)).stdout)["accepted"] == 3
    assert {incident["services"][0] for incident in stored(place)} == {"payments", "checkout", "search"}


def test_the_same_alert_twice_is_one_incident(place: Path) -> None:
    for _ in range(2):
        call("alert", "--title", "a", "--service", "payments", "--started-at", "2026-11-23T14:35:00Z")
    (incident,) = stored(place)
    assert incident["alerts"] == 1


@pytest.mark.parametrize(("word", "severity"), [("p1", "P1"), ("critical", "P1"), ("P4", "P4"), ("warning", "P3")])
def test_severity_as_people_say_it(place: Path, word: str, severity: str) -> None:
    call("alert", "--title", "a", "--severity", word)
    assert [incident["severity"] for incident in stored(place)] == [severity]


def test_a_severity_that_nobody_knows_is_wrong_usage(place: Path) -> None:
    result = call("alert", "--title", "a", "--severity", "P9")
    assert result.exit_code == 2
    assert "--severity: 'P9' is none of P1, P2, P3, P4, P5" in result.stderr
    assert not (place / "data").exists()


def test_a_resolved_alert_ends_its_incident(place: Path) -> None:
    words = ["alert", "--title", "a", "--service", "payments", "--started-at", "2026-11-23T14:35:00Z"]
    call(*words)
    call(*words, "--status", "resolved")
    assert [incident["status"] for incident in stored(place)] == ["resolved"]


@pytest.mark.parametrize(
    ("stdin", "status", "words"),
    [
        ("", 2, "say what is wrong with --title"),
        ("{", 1, "stdin: not JSON"),
        ("[" * 100_000, 1, "stdin: not JSON"),
        ("5", 1, "expected a JSON object"),
        ("{}", 1, "title: missing"),
        ('[{"title": "a"}, {"title": "b", "status": "perhaps"}]', 1, "alert 2: status: 'perhaps' is not one of"),
        ('{"title": "a", "started_at": "soon"}', 1, "started_at: 'soon' is not a moment"),
    ],
)
def test_what_is_no_alert_gets_one_sentence(tmp_path: Path, stdin: str, status: int, words: str) -> None:
    done = process("alert", cwd=tmp_path, stdin=stdin.encode())
    assert done.returncode == status
    assert words in done.stderr.decode()
    assert b"Traceback" not in done.stderr
    assert done.stdout == b""
    assert not (tmp_path / "data").exists()


def test_hostile_text_is_stored_as_it_is_and_printed_without_control_characters(place: Path) -> None:
    title = "\x1b[2J<script>'; DROP TABLE alerts; -- {{ 7*7 }} $(id) [red]"
    call("alert", "--title", title, "--service", "pay\x07ments")
    assert "\x1b" not in call("incidents", "list").stdout
    inbox = Inbox.open(place / "data" / "inbox.sqlite")
    (record,) = inbox.incidents()
    inbox.close()
    assert "DROP TABLE alerts; -- {{ 7*7 }} $(id) [red]" in record.title


def test_the_real_receiver_takes_what_is_sent(place: Path) -> None:
    import uvicorn

    from incident_pipeline.config import Scenario
    from incident_pipeline.console.receiver import create_receiver

    inbox = Inbox.open(place / "receiver.sqlite")
    config = uvicorn.Config(create_receiver(inbox, Scenario(), (), lambda: None), port=0, log_level="error")
    server = uvicorn.Server(config)
    thread = threading.Thread(target=server.run)
    thread.start()
    try:
        port = _port_of(server)
        configure(place, port)
        answer = json.loads(
            call("alert", "--title", "é \N{SNOWMAN}", "--service", "payments", "--dedup-key", "k", "--json").stdout
        )
    finally:
        server.should_exit = True
        thread.join()
    inbox.group(datetime.now(UTC), Scenario().alerts)
    (record,) = inbox.incidents()
    inbox.close()
    assert answer == {"accepted": 1, "through": "receiver", "receiver": f"http://127.0.0.1:{port}"}
    assert record.title == "é \N{SNOWMAN}"
    assert not (place / "data").exists()


def _port_of(server: Any) -> int:
    end = time.monotonic() + 20
    while not server.started:
        assert time.monotonic() < end
        time.sleep(0.01)
    return int(server.servers[0].sockets[0].getsockname()[1])
