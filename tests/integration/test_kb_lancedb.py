"""The knowledge base in LanceDB: the same answers as the one file gives, from the real engine."""

from __future__ import annotations

import urllib.request
from collections.abc import Iterator
from dataclasses import replace
from datetime import UTC, datetime
from pathlib import Path

import pytest

from kb import Document, Feedback, IncidentSignature, KnowledgeBase, starter_documents
from tests.integration.peers import free_port, program, running

pytest.importorskip("lancedb", reason="the extra `lancedb` is not installed")
pytestmark = pytest.mark.filterwarnings("ignore::DeprecationWarning", "ignore::FutureWarning")

QUESTIONS = (
    "checkout pods restart again and again, CrashLoopBackOff",
    "FATAL: sorry, too many clients already",
    "x509: certificate has expired or is not yet valid",
    "consumer group falls behind, lag grows on all partitions",
)


@pytest.fixture(scope="module")
def both(tmp_path_factory: pytest.TempPathFactory) -> tuple[KnowledgeBase, KnowledgeBase]:
    folder = tmp_path_factory.mktemp("lance")
    file = KnowledgeBase.open(folder / "kb.duckdb")
    engine = KnowledgeBase.open(f"lancedb://{folder}/kb")
    for kb in (file, engine):
        assert kb.add(starter_documents()).new > 60
    return file, engine


@pytest.mark.parametrize("question", QUESTIONS)
@pytest.mark.parametrize("kind", ["runbook", None])
def test_both_give_the_same_answers(both: tuple[KnowledgeBase, KnowledgeBase], question: str, kind: str | None) -> None:
    file, engine = (kb.search(question, kind=kind, limit=3) for kb in both)
    assert [result.id for result in engine][:1] == [result.id for result in file][:1]
    assert engine[0].probability == pytest.approx(file[0].probability, abs=0.02)
    assert len(engine[0].why) == len(file[0].why)


def test_adding_changing_and_removing(tmp_path: Path) -> None:
    url = f"lancedb://{tmp_path}/kb"
    kb = KnowledgeBase.open(url, model="none")
    assert kb.search("anything") == []
    note = Document(
        "it's; DROP", "note", "A note", "about quorum", date=datetime(2026, 3, 1, tzinfo=UTC), labels=("x",)
    )
    other = Document("b", "runbook", "Broker lag", "The queue grows.")
    assert (kb.add([note, other]).new, kb.add([note, other]).unchanged) == (2, 2)
    assert kb.get("it's; DROP") == note
    changed = kb.add([replace(note, text="about brokers")], signatures=[IncidentSignature("INC-1", "t")])
    assert (changed.new, changed.changed) == (0, 1)
    again = KnowledgeBase.open(url, model="none")
    assert [s.incident_id for s in again.signatures] == ["INC-1"]
    assert again.search("quorum") == []
    assert {result.id for result in again.search("brokers")} == {"it's; DROP", "b"}
    assert again.add(remove=["b"]).removed == 1
    assert {document.id for document in kb.documents} == {"it's; DROP"}


def test_feedback_moves_answers(tmp_path: Path) -> None:
    kb = KnowledgeBase.open(f"lancedb://{tmp_path}/kb", model="none")
    kb.add([Document(name, "runbook", "Broker lag", f"The queue grows {name}.") for name in ("one", "two", "three")])
    best = kb.search("broker lag")[0].id
    kb.add(feedback=[Feedback(best, "broker lag", False)])
    assert kb.search("broker lag")[0].id != best
    assert kb.without_feedback().search("broker lag")[0].id == best


def test_statistics_are_counted_anew_after_an_addition_that_was_interrupted(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    documents = [Document(f"rb/{n}", "runbook", f"Broker {n}", f"number{n} broker lag") for n in range(6)]
    whole = KnowledgeBase.open(f"lancedb://{tmp_path}/whole", model="none")
    whole.add(documents)
    broken = KnowledgeBase.open(f"lancedb://{tmp_path}/broken", model="none")
    broken.add(documents[:2])

    def killed(*_: object) -> None:
        raise KeyboardInterrupt

    with monkeypatch.context() as patched:
        patched.setattr(type(broken), "_count", killed)
        with pytest.raises(KeyboardInterrupt):
            broken.add(documents[2:4])
    broken.add(documents)
    asked = "number3 broker lag"
    expected = {(r.id, r.score, r.probability) for r in whole.search(asked, limit=6)}
    assert len(expected) == 6
    assert {(r.id, r.score, r.probability) for r in broken.search(asked, limit=6)} == expected


@pytest.fixture
def bucket(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[str]:
    """A bucket of moto's server, which speaks S3 but checks no signature."""
    binary, port = program("moto_server"), free_port()
    url = f"http://127.0.0.1:{port}"
    for name, value in {
        "AWS_ENDPOINT": url,
        "AWS_ALLOW_HTTP": "true",
        "AWS_ACCESS_KEY_ID": "testing",
        "AWS_SECRET_ACCESS_KEY": "testing",
        "AWS_REGION": "us-east-1",
    }.items():
        monkeypatch.setenv(name, value)
    with running([binary, "-H", "127.0.0.1", "-p", str(port)], tmp_path, url + "/moto-api/"):
        scope = "Credential=testing/20260101/us-east-1/s3/aws4_request, SignedHeaders=host, Signature=0"
        headers = {"Authorization": f"AWS4-HMAC-SHA256 {scope}"}
        with urllib.request.urlopen(urllib.request.Request(f"{url}/knowledge", method="PUT", headers=headers)):  # noqa: S310
            yield "lancedb+s3://knowledge/base"


def test_an_object_store_gives_the_same_answers(bucket: str, tmp_path: Path) -> None:
    here, there = KnowledgeBase.open(tmp_path / "kb.duckdb"), KnowledgeBase.open(bucket)
    for memory in (here, there):
        memory.add(starter_documents())
    expected = [result.id for result in here.search(QUESTIONS[1])]
    assert [result.id for result in KnowledgeBase.open(bucket).search(QUESTIONS[1])] == expected
    there.add(remove=expected[:1])
    assert expected[0] not in {result.id for result in there.search(QUESTIONS[1])}
