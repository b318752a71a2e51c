"""The knowledge base in LanceDB: for more documents than one file should hold, on disk or in an object store.

Belongs here: what is stored, and how candidates are fetched; how tables are read and written is in `lance_tables.py`.
Which candidates fit is decided by the same ranking as everywhere (`search.py`): the engine finds the documents whose
words or meaning are near, with the statistics of all terms beside them. An optional backend, selected by URL:
`lancedb:///srv/kb`, `lancedb+s3://bucket/kb`; install the extra `lancedb`.
"""

from __future__ import annotations

import json
from collections import Counter
from collections.abc import Iterable, Mapping, Sequence
from datetime import datetime
from typing import Any

import numpy as np

from kb.base import KnowledgeBase
from kb.chunking import chunks
from kb.contents import Searchable
from kb.documents import KINDS, Document, SearchResult, as_utc
from kb.embedding import DEFAULT_MODEL, Embedder
from kb.lance_tables import Tables, among, key_of
from kb.learning import MORE_TO_REORDER, Feedback, adjusted
from kb.lexical import Statistics, build_index
from kb.merging import Added, checked, part, passage, redacted
from kb.model import Model, Progress
from kb.redaction import redact_value
from kb.search import Searcher
from kb.similar import IncidentSignature
from kb.tokens import terms

_BY_WORDS, _BY_MEANING = 120, 200
"""Documents and chunks that are fetched and looked at closely."""
_AT_ONCE, _COUNTED_AT_ONCE = 500, 10_000
"""Documents that are stored together, and those whose words are counted together: counting touches every known word."""


class Tally:
    """Of some documents: in how many of them each term is, and how long they are together."""

    def __init__(self) -> None:
        self.terms: Counter[str] = Counter()
        self.sums: Counter[str] = Counter()

    def take(self, words: Sequence[str], title_length: int, sign: int = 1) -> None:
        """One document more, or with a sign of -1 one less."""
        for term in set(words):
            self.terms[term] += sign
        self.sums.update({"documents": sign, "words": sign * len(words), "title_words": sign * title_length})


class LanceKnowledgeBase(KnowledgeBase):
    """The same memory in LanceDB; many processes may read while one writes.

    Each table changes at once; of an `add` that was interrupted, what is missing is added by the next one.
    """

    def __init__(self, url: str, model: str = DEFAULT_MODEL, embedder: Embedder | None = None) -> None:
        self.url = url
        self._model = Model(model, embedder)
        self.model = self._model.name
        self._heeds_feedback = True
        self._tables = Tables(url)

    def add(
        self,
        documents: Iterable[Document] = (),
        signatures: Iterable[IncidentSignature] = (),
        remove: Iterable[str] = (),
        feedback: Iterable[Feedback] | None = None,
        progress: Progress | None = None,
    ) -> Added:
        """As `KnowledgeBase.add`."""
        handed_in = checked(documents)
        known = self._hashes()
        offered = {i: d for i, d in handed_in.items() if known.get(i) != d.content_hash}
        gone = [identity for identity in remove if identity in known and identity not in offered]
        changed = [identity for identity in offered if identity in known]
        every = list(offered.values())
        self._mend_statistics()
        self._forget([*gone, *changed])
        tally = Tally()
        for start in range(0, len(every), _AT_ONCE):
            self._store(every[start : start + _AT_ONCE], tally)
            if progress is not None:
                progress(min(start + _AT_ONCE, len(every)), len(every))
            if tally.sums["documents"] >= _COUNTED_AT_ONCE:
                self._count(tally)
                tally = Tally()
        self._count(tally)
        bodies = {s.incident_id: json.dumps(redact_value(s.as_json()), sort_keys=True) for s in signatures}
        self._tables.upsert(
            "signatures", [{"key": key_of(i), "incident_id": i, "body": body} for i, body in bodies.items()]
        )
        if feedback is not None:
            said = json.dumps([redact_value({**_fields(one)}) for one in feedback])
            self._tables.upsert("meta", [{"key": "feedback", "value": said}])
        if every or gone:
            self._finish()
        return Added(len(every) - len(changed), len(changed), len(handed_in) - len(every), len(gone), self.version)

    def search(
        self,
        text: str,
        kind: str | None = None,
        limit: int = 5,
        since: datetime | None = None,
        before: datetime | None = None,
    ) -> list[SearchResult]:
        """As `KnowledgeBase.search`."""
        query = terms(text)
        vector = self._query_vector(text)
        found: dict[str, dict[str, Any]] = {}
        for condition in _conditions(kind):
            found.update(self._candidates(query, vector, condition, limit))
        if not found or not query:
            return []
        searcher = Searcher(self._memory_of(found), lambda _: vector, self._statistics(query, found.values()))
        answers = searcher.search(text, kind, limit + MORE_TO_REORDER, since, before)
        said = [Feedback(**one) for one in json.loads(self._meta().get("feedback", "[]"))]
        return adjusted(answers, text, said)[:limit] if self._heeds_feedback else answers[:limit]

    @property
    def documents(self) -> tuple[Document, ...]:
        """Everything that is remembered; read from the engine at each call."""
        return tuple(map(_document, self._tables.rows("documents")))

    @property
    def signatures(self) -> tuple[IncidentSignature, ...]:
        """The record of each past incident."""
        return tuple(IncidentSignature.from_json(json.loads(row["body"])) for row in self._tables.rows("signatures"))

    @property
    def version(self) -> str:
        """Names the content: the version of the table of documents."""
        table = self._tables.table("documents")
        return "0" if table is None else str(table.version)

    @property
    def size(self) -> int | None:
        """Not known: the tables may lie in an object store."""
        return None

    def stats(self) -> dict[str, int | str]:
        """How many chunks and vectors there are, and how a search ranks."""
        count = self._tables.count("chunks")
        has_vectors = count > 0 and self._model.load() is not None
        method = "words and meaning (LanceDB, BM25 and vectors)" if has_vectors else "words (LanceDB, BM25)"
        return {"chunks": count, "vectors": count if has_vectors else 0, "method": method}

    def get(self, identity: str) -> Document | None:
        """The document of this id."""
        rows = self._tables.rows("documents", f"key = '{key_of(identity)}'")
        return _document(rows[0]) if rows else None

    def without_feedback(self) -> LanceKnowledgeBase:
        """The same memory, answering as if nobody had said anything."""
        plain = LanceKnowledgeBase(self.url, self.model, self._model.load())
        plain._heeds_feedback = False
        return plain

    def close(self) -> None:
        """Nothing is held between calls."""

    # --- writing

    def _store(self, documents: Sequence[Document], tally: Tally) -> None:
        clean = [redacted(document) for document in documents]
        cut = [(document, chunk) for document in clean for chunk in chunks(document.text)]
        texts = [passage(document.title, chunk) for document, chunk in cut]
        vectors = self._model.of_passages(list(dict.fromkeys(texts)))
        rows = [
            {
                "document": key_of(document.id),
                "kind": document.kind,
                "heading": chunk.heading,
                "line": chunk.line,
                "text": chunk.text,
                **({"vector": vectors[text]} if text in vectors else {}),
            }
            for (document, chunk), text in zip(cut, texts, strict=True)
        ]
        self._tables.append("chunks", rows)
        stored = []
        for given, document in zip(documents, clean, strict=True):
            title, facts, body = part(document)
            words = [terms(title), terms(facts), terms(body)]
            tally.take([term for some in words for term in some], len(words[0]))
            stored.append(_row(document, given.content_hash, words))
        self._tables.append("documents", stored)

    def _forget(self, identities: Sequence[str]) -> None:
        if not identities:
            return
        rows = self._tables.rows("documents", among("key", map(key_of, identities)))
        tally = Tally()
        for row in rows:
            tally.take(row["words"].split(), row["title_length"], sign=-1)
        for table, column in (("documents", "key"), ("chunks", "document")):
            found = self._tables.table(table)
            if found is not None:
                found.delete(among(column, map(key_of, identities)))
        self._count(tally)

    def _mend_statistics(self) -> None:
        """Count everything anew where an addition was interrupted between its documents and their statistics."""
        if int(self._meta().get("documents", "0")) == self._tables.count("documents"):
            return
        self._tables.drop("terms")
        self._tables.upsert("meta", [{"key": name, "value": "0"} for name in ("documents", "words", "title_words")])
        tally = Tally()
        for row in self._tables.rows("documents", columns=["words", "title_length"]):
            tally.take(row["words"].split(), row["title_length"])
        self._count(tally)

    def _count(self, tally: Tally) -> None:
        """Keep the statistics of all terms: in how many documents each is."""
        if not tally.sums:
            return
        hashed = {key_of(term): (term, n) for term, n in tally.terms.items()}
        known = {row["key"]: row["documents"] for row in self._terms(hashed)}
        rows = [{"key": k, "term": term, "documents": max(known.get(k, 0) + n, 0)} for k, (term, n) in hashed.items()]
        self._tables.upsert("terms", rows)
        meta = self._meta()
        values = {name: str(max(int(meta.get(name, "0")) + value, 0)) for name, value in tally.sums.items()}
        model = self._model.load()
        values["model"] = model.name if model is not None else ""
        self._tables.upsert("meta", [{"key": key, "value": value} for key, value in values.items()])

    def _finish(self) -> None:
        """Let the engine index what is new."""
        table = self._tables.table("documents")
        if table is None:
            return
        if not any("words" in index.columns for index in table.list_indices()):
            table.create_fts_index(
                "words", base_tokenizer="whitespace", lower_case=False, stem=False, remove_stop_words=False,
                ascii_folding=False, with_position=False, max_token_length=200,
            )  # fmt: skip
        for name, column in (("documents", "key"), ("chunks", "document"), ("terms", "key")):
            found = self._tables.table(name)
            if found is not None:
                if not any(column in index.columns for index in found.list_indices()):
                    found.create_scalar_index(column)
                found.optimize()

    # --- reading

    def _candidates(self, query: Sequence[str], vector: Any, condition: str, limit: int) -> dict[str, dict[str, Any]]:
        documents, cut = self._tables.table("documents"), self._tables.table("chunks")
        if documents is None or cut is None:
            return {}
        wanted = " ".join(dict.fromkeys(query))
        found = {}
        if wanted:
            by_words = documents.search(wanted, query_type="fts", fts_columns="words").where(condition, prefilter=True)
            found = {row["key"]: row for row in by_words.limit(max(_BY_WORDS, limit)).to_list()}
        if vector is not None:
            near = (
                cut.search(vector, vector_column_name="vector").distance_type("cosine").where(condition, prefilter=True)
            )
            keys = {row["document"] for row in near.select(["document", "_distance"]).limit(_BY_MEANING).to_list()}
            if missing := sorted(keys - found.keys()):
                found |= {row["key"]: row for row in self._tables.rows("documents", among("key", missing))}
        return found

    def _memory_of(self, found: Mapping[str, Mapping[str, Any]]) -> Searchable:
        """The candidates as a small memory of their own."""
        documents = tuple(map(_document, found.values()))
        place = {key: at for at, key in enumerate(found)}
        keys = ", ".join(f"'{key}'" for key in found)
        cut = sorted(
            self._tables.rows("chunks", f"document IN ({keys})"), key=lambda row: (place[row["document"]], row["line"])
        )
        has_vectors = bool(cut) and cut[0].get("vector") is not None
        return Searchable(
            documents=documents,
            chunk_starts=np.searchsorted([place[row["document"]] for row in cut], np.arange(len(documents) + 1)),
            vectors=np.array([row["vector"] for row in cut], dtype=np.float32) if has_vectors else None,
            index=build_index([part(document) for document in documents]),
        )

    def _statistics(self, query: Sequence[str], found: Iterable[Mapping[str, Any]]) -> Statistics:
        """Of the query's terms and of those in the candidates' titles; the others weigh nothing in a score."""
        wanted = {*query, *(term for row in found for term in row["words"].split()[: row["title_length"]])}
        rows = self._terms({key_of(term): term for term in wanted})
        meta, count = self._meta(), max(self._tables.count("documents"), 1)
        return Statistics(
            count,
            {row["term"]: int(row["documents"]) for row in rows},
            int(meta.get("words", "0")) / count,
            int(meta.get("title_words", "0")) / count,
            {kind: self._tables.count("documents", f"kind = '{kind}'") for kind in KINDS},
        )

    def _query_vector(self, text: str) -> Any:
        model = self._model.load()
        if model is None or self._meta().get("model") != model.name:
            return None
        return self._model.of_query(model, text)

    def _terms(self, keys: Iterable[str]) -> list[dict[str, Any]]:
        named = sorted(keys)
        return [
            row
            for start in range(0, len(named), _AT_ONCE)
            for row in self._tables.rows("terms", among("key", named[start : start + _AT_ONCE]))
        ]

    def _hashes(self) -> dict[str, str]:
        rows = self._tables.rows("documents", columns=["id", "content_hash"])
        return {row["id"]: row["content_hash"] for row in rows}

    def _meta(self) -> dict[str, str]:
        return {row["key"]: row["value"] for row in self._tables.rows("meta")}


def _conditions(kind: str | None) -> tuple[str, ...]:
    """Runbooks and all other kinds are ranked apart, so candidates of each are fetched."""
    return (f"kind = '{kind}'",) if kind else ("kind = 'runbook'", "kind <> 'runbook'")


def _fields(one: Feedback) -> dict[str, Any]:
    return {"document_id": one.document_id, "question": one.question, "useful": one.useful}


def _row(document: Document, content_hash: str, words: Sequence[Sequence[str]]) -> dict[str, Any]:
    return {
        "key": key_of(document.id),
        "id": document.id,
        "kind": document.kind,
        "title": document.title,
        "text": document.text,
        "source": document.source,
        "date": document.date.isoformat() if document.date else "",
        "more": json.dumps([document.services, document.category, document.labels, document.commit, document.facts]),
        "words": " ".join(term for some in words for term in some),
        "length": sum(map(len, words)),
        "title_length": len(words[0]),
        "content_hash": content_hash,
    }


def _document(row: Mapping[str, Any]) -> Document:
    services, category, labels, commit, facts = json.loads(row["more"])
    return Document(
        row["id"], row["kind"], row["title"], row["text"], row["source"], as_utc(row["date"] or None),
        tuple(services), category, tuple(labels), commit, tuple((name, value) for name, value in facts),
    )  # fmt: skip
