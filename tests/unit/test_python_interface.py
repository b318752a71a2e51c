"""What others import: small, tested, and cheap to import."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import incident_pipeline

EXAMPLE = Path(__file__).resolve().parents[2] / "examples" / "payments-bad-deploy"


def test_public_names_are_these() -> None:
    assert incident_pipeline.__all__ == ["diagnose", "load_folder"]


def test_a_folder_is_diagnosed_in_two_lines() -> None:
    folder = incident_pipeline.load_folder(str(EXAMPLE))
    diagnosis = incident_pipeline.diagnose(folder)
    assert diagnosis.root_cause_deployment == "deploy-abc123"
    assert diagnosis == incident_pipeline.diagnose(EXAMPLE)


def test_importing_brings_no_heavy_library_along() -> None:
    heavy = ["dagster", "pandas", "duckdb", "torch", "sentence_transformers", "matplotlib", "sqlalchemy"]
    code = f"import sys, incident_pipeline, kb.redaction; print([m for m in {heavy} if m in sys.modules])"
    loaded = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True, timeout=60)
    assert loaded.stdout.strip() == "[]"


def test_the_knowledge_base_is_imported_without_its_models() -> None:
    heavy = ["dagster", "pandas", "torch", "sentence_transformers", "matplotlib", "onnxruntime"]
    code = f"import sys; from kb import KnowledgeBase; print([m for m in {heavy} if m in sys.modules])"
    loaded = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True, timeout=60)
    assert loaded.stdout.strip() == "[]"
