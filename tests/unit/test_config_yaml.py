from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from incident_pipeline.configuration.yaml_text import MAX_BYTES, parse_yaml, read_yaml
from incident_pipeline.errors import ConfigurationError

BOMB = "a0: &a0 [x, x, x, x, x, x, x, x, x, x]\n" + "".join(
    f"a{i}: &a{i} [{', '.join([f'*a{i - 1}'] * 10)}]\n" for i in range(1, 10)
)


@pytest.mark.parametrize(
    ("text", "sentence"),
    [
        ("a: [1", "f.yaml: line 1 is not YAML: "),
        ("a: 1\nb: 2\na: 3", "f.yaml: line 3: the key 'a' is there twice (first on line 1)"),
        ("a:\n  b: 1\n  b: 2", "f.yaml: line 3: the key 'b' is there twice (first on line 2)"),
        ("a: *x", "f.yaml: line 1 is not YAML: found undefined alias 'x'"),
        ("a: &a [*a]", "f.yaml: line 1: an alias points to the value that holds it"),
        (BOMB, "f.yaml: line 1: aliases make more than 100000 values of this file"),
        ("[" * 5000, "f.yaml: line 1: is nested deeper than 40 levels"),
        ("a: !!python/object/apply:os.system [id]", "f.yaml: line 1: the tag 'python/object/apply:os.system' is not"),
        ("on: 1", "f.yaml: line 1: the key on is not text to YAML; put it in quotes"),
        ("? [a]\n: b", "f.yaml: line 1: a key must be a word"),
        ("a: 2026-13-45", "f.yaml: holds a value that cannot be read"),
        ("a: \x00", "f.yaml: is not YAML: unacceptable character"),
        ("--- a\n--- b", "f.yaml: line 2 is not YAML: "),
    ],
)
def test_what_is_not_wanted_gets_one_sentence_with_its_line(text: str, sentence: str) -> None:
    with pytest.raises(ConfigurationError) as caught:
        parse_yaml(text, "f.yaml")
    assert str(caught.value).startswith(sentence)
    assert "\n" not in str(caught.value)


def test_anchors_and_merges_of_a_reasonable_size_work() -> None:
    assert parse_yaml("x: &x {a: 1, b: 2}\ny:\n  <<: *x\n  a: 3", "f.yaml") == {
        "x": {"a": 1, "b": 2},
        "y": {"a": 3, "b": 2},
    }


def test_a_file_that_is_too_large_or_not_text_or_not_there(tmp_path: Path) -> None:
    large, binary = tmp_path / "large.yaml", tmp_path / "binary.yaml"
    large.write_text("#" * (MAX_BYTES + 1))
    binary.write_bytes(b"a: 1\nb: \xff")
    for path, words in (
        (large, "larger than"),
        (binary, "line 2 is not UTF-8"),
        (tmp_path / "none.yaml", "no such file"),
    ):
        with pytest.raises(ConfigurationError, match=words):
            read_yaml(path)
    with pytest.raises(ConfigurationError, match="cannot be read"):
        read_yaml(tmp_path)


def test_a_byte_order_mark_is_no_part_of_the_first_key(tmp_path: Path) -> None:
    path = tmp_path / "windows.yaml"
    path.write_bytes("scenario:\r\n  name: a\r\n".encode("utf-8-sig"))
    assert read_yaml(path) == {"scenario": {"name": "a"}}


@given(st.text(alphabet=st.sampled_from("ab:{}[],&*!|>-?#'\"%@\n\t 01.~<=\\"), max_size=60))
def test_any_text_is_values_or_one_sentence(text: str) -> None:
    refusal = "f.yaml: "
    try:
        parse_yaml(text, "f.yaml")
    except ConfigurationError as error:
        refusal = str(error)
    assert refusal.startswith("f.yaml: ")
    assert "\n" not in refusal
