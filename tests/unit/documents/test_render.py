"""The user's template first, then ours; what is wrong with it is one sentence."""

from __future__ import annotations

from pathlib import Path

import pytest

from incident_pipeline.documents.render import PACKAGED_TEMPLATES, render
from incident_pipeline.errors import ConfigurationError


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    return tmp_path / "mine"


def write(folder: Path, text: str) -> Path:
    folder.mkdir()
    (folder / "note.md.j2").write_text(text, encoding="utf-8")
    return folder


def test_the_packaged_templates_are_found() -> None:
    names = {path.name for path in PACKAGED_TEMPLATES.glob("*.j2")}

    assert {"status_update.md.j2", "postmortem.md.j2", "runbook_update.md.j2", "stakeholder_notice.md.j2"} <= names


def test_the_users_template_wins(folder: Path) -> None:
    write(folder, "Hello {{ name }}\n")

    assert render("note.md.j2", {"name": "Å"}, folder) == "Hello Å\n"


def test_a_folder_that_does_not_exist_is_no_error(folder: Path) -> None:
    context = {"title": "T", "what": "W", "since": "S", "status": "S", "severity": "P1", "affected": "A", "next": "N"}

    assert render("stakeholder_notice.md.j2", context, folder).startswith("**T**")


@pytest.mark.parametrize(
    ("text", "line", "says"),
    [
        ("one\n{% if %}\n", 2, "Expected an expression"),
        ("one\ntwo\n{{ unheard_of }}\n", 3, "unheard_of"),
        ("{{ name.missing }}\n", 1, "missing"),
        ("one\n{{ 1 / 0 }}\n", 2, "division"),
    ],
)
def test_what_is_wrong_names_file_and_line(folder: Path, text: str, line: int, says: str) -> None:
    write(folder, text)

    with pytest.raises(ConfigurationError, match=says) as caught:
        render("note.md.j2", {"name": "x"}, folder)

    assert str(folder / "note.md.j2") in str(caught.value)
    assert f"line {line}" in str(caught.value)


@pytest.mark.parametrize(
    "text",
    [
        "{{ ''.__class__.__mro__ }}",
        "{{ name.__init__.__globals__ }}",
        "{{ lines.append('x') }}",
        "{{ cycler.__init__.__globals__.os.popen('id').read() }}",
    ],
)
def test_a_template_cannot_reach_out(folder: Path, text: str) -> None:
    write(folder, text)

    with pytest.raises(ConfigurationError):
        render("note.md.j2", {"name": "x", "lines": []}, folder)


def test_a_template_elsewhere_cannot_be_included(folder: Path, tmp_path: Path) -> None:
    (tmp_path / "secret.txt").write_text("secret", encoding="utf-8")
    write(folder, "{% include '../secret.txt' %}")

    with pytest.raises(ConfigurationError):
        render("note.md.j2", {}, folder)


def test_an_absent_template_is_named(folder: Path) -> None:
    with pytest.raises(ConfigurationError, match="nowhere"):
        render("nowhere.md.j2", {}, folder)


def test_values_are_never_templates(folder: Path) -> None:
    write(folder, "{{ name }}")

    assert render("note.md.j2", {"name": "{{ 7*7 }}{% raw %}"}, folder) == "{{ 7*7 }}{% raw %}"


SECRET = "s3cret-in-a-file"  # noqa: S105 - a test's


@pytest.mark.parametrize(
    "text",
    [
        "{% include '.env' %}",
        "{% include 'key.pem' %}",
        "{% import '.env' as e %}{{ e }}",
        "{% extends '../.env' %}",
        "{{ self.__init__.__globals__ }}",
        "{{ lipsum.__globals__['os'].environ }}",
        "{{ namespace.__init__.__globals__ }}",
        "{{ joiner.__init__.__globals__['os'] }}",
        "{{ name.format.__self__.__class__ }}",
        "{{ '{0.__class__.__init__.__globals__}'.format(name) }}",
        "{{ '%s' | format(name.__class__.__base__.__subclasses__()) }}",
        "{{ ''.__class__.__base__.__subclasses__() }}",
        "{{ (name | attr('__class__')).__mro__ }}",
        "{{ config }}",
        "{{ environ['HOME'] }}",
        "{{ open('.env').read() }}",
        "{% for _ in range(10 ** 9) %}x{% endfor %}",
        "{% set lines.x = 1 %}",
    ],
)
def test_a_template_that_reads_secrets_fails(folder: Path, text: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("SOME_TOKEN", SECRET)
    write(folder, text)
    for place in (folder, folder.parent):
        (place / ".env").write_text(f"SOME_TOKEN={SECRET}", encoding="utf-8")
        (place / "key.pem").write_text(SECRET, encoding="utf-8")

    with pytest.raises(ConfigurationError) as caught:
        render("note.md.j2", {"name": "x", "lines": ["a"]}, folder)

    assert SECRET not in str(caught.value)


def test_what_is_printed_is_escaped_by_its_target(folder: Path) -> None:
    write(folder, "{{ name }}")
    (folder / "note.html.j2").write_text("{{ name }}", encoding="utf-8")

    assert render("note.html.j2", {"name": "<b>&"}, folder) == "&lt;b&gt;&amp;"
    assert render("note.md.j2", {"name": "<b>&"}, folder) == "<b>&"  # escape.py has seen to it


@pytest.mark.parametrize("path", sorted(PACKAGED_TEMPLATES.glob("*.j2")), ids=lambda path: path.name)
def test_every_template_can_be_replaced(folder: Path, path: Path) -> None:
    folder.mkdir()
    (folder / path.name).write_text("mine", encoding="utf-8")

    assert render(path.name, {}, folder) == "mine"
