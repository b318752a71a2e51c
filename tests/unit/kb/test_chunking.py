"""Chunks follow the document's structure."""

from __future__ import annotations

import pytest

from kb.chunking import chunks

TEXT = """Intro line.

# Payments down

Look at the errors first.

## Diagnosis

```bash
# not a heading
kubectl get pods

kubectl logs deploy/payments
```

### Logs ###

Read them.

## Fix

1. roll back
2. wait
"""


def test_headings_make_paths_and_lines_point_back() -> None:
    found = chunks(TEXT)
    assert [chunk.heading for chunk in found] == [
        "",
        "Payments down",
        "Payments down > Diagnosis",
        "Payments down > Diagnosis > Logs",
        "Payments down > Fix",
    ]
    lines = TEXT.split("\n")
    assert all(chunk.text.startswith(lines[chunk.line - 1]) for chunk in found)


def test_a_code_block_stays_whole() -> None:
    block = next(chunk for chunk in chunks(TEXT) if "kubectl get" in chunk.text)
    assert block.text.startswith("```bash")
    assert block.text.endswith("```")


def test_long_text_is_cut_and_nothing_is_lost() -> None:
    text = " ".join(f"word{i}" for i in range(1000))
    found = chunks(text)
    assert all(len(chunk.text.split()) <= 100 for chunk in found)
    assert " ".join(chunk.text for chunk in found) == text


@pytest.mark.parametrize(
    "text",
    [
        "#" * 200_000,
        "```\n" * 50_000,
        "x" * 2_000_000,
        "# a\n" * 50_000,
        "> " * 200_000,
        "\n" * 500_000,
        "- " * 100_000,
    ],
)
@pytest.mark.timeout(60)
def test_hostile_text_ends(text: str) -> None:
    assert len(chunks(text)) <= 2_050


def test_empty_text_has_no_chunks() -> None:
    assert chunks("") == []
    assert chunks(" \n\t\n# Only a heading\n") == []
