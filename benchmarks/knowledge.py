"""How well the knowledge base finds, how sure it may be, and how fast it is, beside plain BM25 and plain MiniLM.

    python benchmarks/knowledge.py ../shared/data/knowledge                 quality and calibration
    python benchmarks/knowledge.py ../shared/data/knowledge --speed         cold and warm searches, indexing unchanged
    python benchmarks/knowledge.py ../shared/data/knowledge --speed --chunks 10000      the same on a part of the memory
    python benchmarks/knowledge.py ../shared/data/knowledge --indexing 96   our vectors beside sentence-transformers

The first run indexes both corpora (some minutes) into `--index`; later runs use that file. Every method is asked in the
same run, on the same documents. Plain BM25 is bm25s with its defaults, and with CamelCase words split; plain MiniLM
ranks documents by their nearest chunk. The weights of the knowledge base were fitted on these `dev` queries: their
figures flatter it; `fit_ranking.py` prints those of held-out folds.
"""

from __future__ import annotations

import argparse
import dataclasses
import gzip
import json
import re
import resource
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable
from pathlib import Path

import numpy as np

from kb import KnowledgeBase, SearchResult, read_paths
from kb.embedding import load_minilm
from kb.evaluation import Evaluation, Query, evaluate, rank
from kb.lexical import update_index
from kb.store import publish, read

ROOT = Path(__file__).resolve().parents[1]
COLD_RUNS = 5
SETS = {
    "alert_runbook": "runbook",
    "alert_runbook_named": "runbook",
    "alert_runbook_promql": "runbook",
    "alert_unmatched": "runbook",
    "same_incident": "postmortem",
    "same_incident, company named": "postmortem",
    "report_summary": "postmortem",
}
Search = Callable[[str], list[SearchResult]]


def queries(folder: Path, name: str) -> list[Query]:
    base, _, named = name.partition(", ")
    with gzip.open(folder / "dev" / f"{base}.jsonl.gz", "rt", encoding="utf-8") as lines:
        records = [json.loads(line) for line in lines]
    key = "query_with_company" if named else "query"
    return [Query(record[key], frozenset(record["relevant"])) for record in records]


def found(ids: list[str], scores: np.ndarray) -> list[SearchResult]:
    order = np.argsort(-scores, kind="stable")[:10]
    return [SearchResult(ids[at], "", "", float(scores[at]), 0.0, "", "", "", None) for at in order]


def split_identifiers(text: str) -> str:
    parts = re.findall(r"[A-Za-z]+(?:[A-Z_][a-z]+)+", text)
    return text + " " + " ".join(word for part in parts for word in re.findall(r"[A-Z]+(?![a-z])|[A-Z]?[a-z]+", part))


def bm25(kb: KnowledgeBase, kind: str, prepare: Callable[[str], str]) -> Search:
    import bm25s

    documents = [document for document in kb.documents if document.kind == kind]
    texts = [prepare(f"{document.title}\n{document.text}") for document in documents]
    index = bm25s.BM25()
    index.index(bm25s.tokenize(texts, stopwords="en", show_progress=False), show_progress=False)
    ids = [document.id for document in documents]

    def search(text: str) -> list[SearchResult]:
        tokens = bm25s.tokenize(prepare(text), stopwords="en", show_progress=False, return_ids=False)[0]
        return found(ids, index.get_scores(tokens)) if tokens else []

    return search


def minilm(kb: KnowledgeBase, kind: str) -> Search:
    searcher, model = kb._searcher, load_minilm()
    rows = np.nonzero(searcher._kinds == kind)[0]
    ids = [kb.documents[row].id for row in rows]
    return lambda text: found(ids, searcher._vectors.nearness(model.embed([text])[0])[1][rows])


def methods(kb: KnowledgeBase, words: KnowledgeBase, kind: str) -> dict[str, Search]:
    return {
        "BM25": bm25(kb, kind, str),
        "BM25 + CamelCase parts": bm25(kb, kind, split_identifiers),
        "MiniLM": minilm(kb, kind),
        "kb, words only": lambda text: words.search(text, kind=kind, limit=10),
        "kb": lambda text: kb.search(text, kind=kind, limit=10),
    }


def quality(folder: Path, kb: KnowledgeBase, words: KnowledgeBase) -> None:
    print("| set | n | method | R@1 | R@3 | R@5 | R@10 | MRR@10 | ECE | said >= 0.7 | ms/query |")
    print("|---|---|---|---|---|---|---|---|---|---|---|")
    by_kind = {kind: methods(kb, words, kind) for kind in ("runbook", "postmortem")}
    for name, kind in SETS.items():
        asked = queries(folder, name)
        for method, search in by_kind[kind].items():
            ranked = rank(asked, search)
            sure = sum(bool(r.probabilities) and r.probabilities[0] >= 0.7 for r in ranked) / len(ranked)
            print(line(name, method, evaluate(ranked), sure))


def line(name: str, method: str, measured: Evaluation, sure: float) -> str:
    recall = " | ".join(f"{value:.3f}" for value in measured.recall.values()) if measured.scored else "- | - | - | -"
    ours = method.startswith("kb")
    calibration = f"{measured.calibration_error:.3f} | {sure:.3f}" if ours else "- | -"
    mrr = f"{measured.mrr:.3f}" if measured.scored else "-"
    return (
        f"| {name} | {measured.queries} | {method} | {recall} | {mrr} | {calibration} | {measured.milliseconds:.1f} |"
    )


def part_of(kb: KnowledgeBase, chunks: int, path: Path) -> KnowledgeBase:
    """The memory of the first documents, up to a number of chunks."""
    whole = read(kb.path)
    count = whole.chunks[min(chunks, len(whole.chunks) - 1)].document_row
    held = sum(chunk.document_row < count for chunk in whole.chunks)
    part = dataclasses.replace(
        whole,
        documents=whole.documents[:count],
        hashes=whole.hashes[:count],
        chunks=whole.chunks[:held],
        vectors=whole.vectors[:held],
        index=update_index(whole.index, range(count), []),
    )
    publish(path, part)
    return KnowledgeBase.open(path)


def speed(folder: Path, kb: KnowledgeBase) -> None:
    asked = [query.text for query in queries(folder, "alert_runbook")][:200]
    kb.search(asked[0])
    took, spent = [], []
    for text in asked:
        started, cpu = time.perf_counter(), time.process_time()
        kb.search(text)
        took.append(1000 * (time.perf_counter() - started))
        spent.append(1000 * (time.process_time() - cpu))
    chunks = kb.stats()["chunks"]
    for name, values in (("wall", took), ("CPU", spent)):
        median, late = np.percentile(values, [50, 95])
        print(f"warm search, {chunks} chunks, {name}: median {median:.1f} ms, p95 {late:.1f} ms")
    script = (
        f"from kb import KnowledgeBase as K; print(K.open({str(kb.path)!r}).search('pod is crash looping')[0].title)"
    )
    before, wall = children_cpu(), []
    for _ in range(COLD_RUNS):
        command = [sys.executable, "-c", script]
        wall.append(timed(lambda: subprocess.run(command, check=True, cwd=ROOT, stdout=subprocess.PIPE)))  # noqa: B023
    spent_each = (children_cpu() - before) / COLD_RUNS
    print(f"cold process to first answer: median {np.median(wall):.2f} s, CPU {spent_each:.2f} s")
    documents, cpu = read_paths([folder / "corpora"]).documents[:1000], time.process_time()
    seconds = timed(lambda: kb.add(documents))
    print(f"indexing 1,000 unchanged documents: {seconds:.2f} s, CPU {time.process_time() - cpu:.2f} s")


def children_cpu() -> float:
    used = resource.getrusage(resource.RUSAGE_CHILDREN)
    return used.ru_utime + used.ru_stime


def timed(work: Callable[[], object]) -> float:
    started = time.perf_counter()
    work()
    return time.perf_counter() - started


def indexing(kb: KnowledgeBase, count: int) -> None:
    from sentence_transformers import SentenceTransformer

    from kb.embedding import model_folder
    from kb.merging import passage

    every = read(kb.path).chunks
    chosen = [every[at] for at in np.random.default_rng(0).choice(len(every), count, replace=False)]
    texts = sorted((passage(kb.documents[chunk.document_row].title, chunk) for chunk in chosen), key=len)
    ours, theirs = load_minilm(), SentenceTransformer(str(model_folder()), device="cpu")
    ways = {
        "kb": lambda: ours.embed_passages(texts),
        "kb, all of each text": lambda: ours.embed(texts),
        "sentence-transformers": lambda: theirs.encode(texts),
    }
    ours.embed(texts[:4]), theirs.encode(texts[:4])
    for name, work in ways.items():
        cpu, seconds = time.process_time(), timed(work)
        print(
            f"{name}: {count / seconds:.1f} chunks/s, {1000 * (time.process_time() - cpu) / count:.1f} ms of CPU each"
        )
    gap = np.abs(ours.embed(texts) - theirs.encode(texts, normalize_embeddings=True)).max()
    print(f"largest difference of any component, all of each text: {gap:.1e}")


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("data", type=Path)
    parser.add_argument("--index", type=Path, default=Path(tempfile.gettempdir()) / "kb-benchmark.duckdb")
    parser.add_argument("--speed", action="store_true")
    parser.add_argument("--chunks", type=int, help="of how many chunks the speed is measured, instead of all")
    parser.add_argument("--indexing", type=int, metavar="CHUNKS")
    arguments = parser.parse_args()
    kb = KnowledgeBase.open(arguments.index)
    documents = read_paths([arguments.data / "corpora"]).documents
    kb.add(documents, progress=lambda done, of: print(f"\r{done} of {of} vectors", end="", file=sys.stderr, flush=True))
    if arguments.indexing:
        indexing(kb, arguments.indexing)
        return
    with tempfile.TemporaryDirectory() as folder:
        if arguments.speed:
            part = Path(folder) / "part.duckdb"
            speed(arguments.data, part_of(kb, arguments.chunks, part) if arguments.chunks else kb)
        else:
            words = KnowledgeBase.open(Path(folder) / "words.duckdb", model="none")
            words.add(documents)
            quality(arguments.data, kb, words)


if __name__ == "__main__":
    main()
