"""How far the knowledge base goes: made-up documents with made-up vectors, in the one file or behind a URL.

    python benchmarks/knowledge_scale.py 100000                            the embedded file, in a temporary folder
    python benchmarks/knowledge_scale.py 100000 --url lancedb:///tmp/kb    LanceDB

Embedding is left out (a chunk costs about 15 ms of processor time and is counted apart): vectors are drawn at random.
Printed: processor seconds of indexing everything, of adding one more document, of opening; a search; bytes; memory.
"""

from __future__ import annotations

import argparse
import hashlib
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Sequence
from pathlib import Path

import numpy as np

from kb import Document, KnowledgeBase

SEARCHES = 60
WORDS = 110
VOCABULARY = 60_000


class RandomVectors:
    """Unit vectors that only depend on the text."""

    name = stamp = "random"
    dimensions = 384

    def embed_passages(self, texts: Sequence[str]) -> np.ndarray:
        seeds = [int.from_bytes(hashlib.sha256(text.encode()).digest()[:8], "little") for text in texts]
        found = np.stack([np.random.default_rng(seed).standard_normal(384, dtype=np.float32) for seed in seeds])
        return found / np.linalg.norm(found, axis=1, keepdims=True)

    def embed_query(self, text: str) -> np.ndarray:
        return self.embed_passages([text])[0]


def documents(count: int) -> list[Document]:
    """Texts of words that are as unevenly frequent as those of a language, two chunks each."""
    rng = np.random.default_rng(0)
    drawn = np.minimum(rng.zipf(1.3, (count, WORDS + 6)), VOCABULARY)
    made = []
    for number, row in enumerate(drawn):
        words = [f"w{word}" for word in row]
        body = f"# {' '.join(words[:4])}\n\n{' '.join(words[6:80])}\n\n## {words[4]}\n\n{' '.join(words[80:])}"
        made.append(Document(f"d/{number}", "runbook" if number % 2 else "postmortem", " ".join(words[:4]), body))
    return made


def cost(work: Callable[[], object]) -> tuple[float, float]:
    cpu, wall = time.process_time(), time.perf_counter()
    work()
    return time.process_time() - cpu, time.perf_counter() - wall


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("documents", type=int)
    parser.add_argument("--url")
    parser.add_argument("--search", metavar="PLACE", help="only search what is there")
    arguments = parser.parse_args()
    if arguments.search:
        search(arguments.search, arguments.documents)
        return
    with tempfile.TemporaryDirectory() as folder:
        place = arguments.url or f"{folder}/kb.duckdb"
        made = documents(arguments.documents)
        kb = KnowledgeBase.open(place, embedder=RandomVectors())
        say("indexing everything", *cost(lambda: kb.add(made)))
        say("adding one document", *cost(lambda: kb.add([Document("new", "note", "w17 w23", "w5 w9")])))
        stats = kb.stats()
        kb.close()
        subprocess.run([sys.executable, __file__, str(arguments.documents), "--search", place], check=True)
        root = Path(place.partition("://")[2] or place)
        files = [root] if root.is_file() else [file for file in root.rglob("*") if file.is_file()]
        print(f"{stats['chunks']} chunks, {sum(file.stat().st_size for file in files) / 1e6:.0f} MB on disk")


def search(place: str, count: int) -> None:
    """Open and search in a process that did nothing else."""
    asked = [document.text for document in documents(min(count, SEARCHES))]
    opened: list[KnowledgeBase] = []

    def first() -> None:
        opened.append(KnowledgeBase.open(place, embedder=RandomVectors()))
        opened[0].search(asked[0][:200], kind="postmortem")

    say("opening, first search", *cost(first))
    kb = opened[0]
    took = [cost(lambda: kb.search(text[90:290], kind="runbook")) for text in asked[1:]]  # noqa: B023
    for name, at in (("CPU", 0), ("wall", 1)):
        median, late = np.percentile([1000 * one[at] for one in took], [50, 95])
        print(f"a search, {name}: median {median:.0f} ms, p95 {late:.0f} ms")
    # what is shared with others, such as libraries and the model's weights, is not its own
    own = kilobytes("smaps_rollup", "Anonymous:") / 1e3
    vectors = int(kb.stats()["vectors"]) * RandomVectors.dimensions * 4 / 1e6
    print(f"memory of its own: {own:.0f} MB, {own / vectors:.2f} times its vectors")
    print(f"largest memory, with what it shares: {kilobytes('status', 'VmHWM:') / 1e3:.0f} MB")


def kilobytes(file: str, name: str) -> float:
    lines = Path("/proc/self", file).read_text(encoding="utf-8").splitlines()
    return next(int(line.split()[1]) for line in lines if line.startswith(name)) * 1.024


def say(what: str, cpu: float, wall: float) -> None:
    print(f"{what}: {cpu:.1f} s of CPU, {wall:.1f} s", flush=True)


if __name__ == "__main__":
    main()
