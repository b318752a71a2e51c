"""The page of one incident in the report: its picture, the ranking and the answers against the truth, what misled it.

Belongs here: comparing one diagnosis with its truth for a person to read. All text from outside is escaped.
Does not belong here: the figures over many incidents (`scores`), the first page (`report`), drawing (`documents`).
"""

from __future__ import annotations

import html
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from incident_pipeline.backtest.measure import Outcome
from incident_pipeline.backtest.scores import Score
from incident_pipeline.config import Scenario
from incident_pipeline.diagnosis.sentences import clock_on, span, went
from incident_pipeline.diagnosis.symptoms import find_symptoms
from incident_pipeline.documents.propagation_plot import plot_propagation
from incident_pipeline.documents.timeline_plot import plot_timeline
from incident_pipeline.errors import InputError
from incident_pipeline.incident_folder.reading import Folder, load_folder
from incident_pipeline.incident_folder.truth import Truth, load_truth
from incident_pipeline.models import Symptoms

_MAX_PICTURE = 100_000
_RANKED, _HYPOTHESES, _REASONS = 10, 4, 4


@dataclass(frozen=True)
class Place:
    """Where a page stands among all pages, counted from 1."""

    number: int
    of: int

    @property
    def anchor(self) -> str:
        """The anchor of the page; made by counting, so that no name from outside is in it."""
        return f"incident-{self.number}"


def escaped(value: Any) -> str:
    """Text for HTML, within an element or an attribute."""
    return html.escape(str(value), quote=True)


def first_description(outcome: Outcome) -> str:
    """What the first hypothesis says."""
    hypotheses = (outcome.record or {}).get("hypotheses")
    return str(hypotheses[0]["description"]) if hypotheses else "no hypothesis"


def incident_page(outcome: Outcome, settings: Scenario, place: Place) -> str:
    """One page as a section; a folder that has gone since still has its ranking and its answers."""
    made, record = outcome.score, outcome.record
    if made is None or record is None:
        return ""
    verdict = "right" if made.right else "wrong"
    try:
        folder, truth = load_folder(Path(outcome.folder)), load_truth(Path(outcome.folder)) or Truth()
    except InputError as error:
        pictures, misled, truth = f"<p>{escaped(error)}</p>", "", Truth()
    else:
        symptoms = find_symptoms(folder.incident, folder.evidence, settings.context.logs.focus_patterns)
        pictures = _pictures(folder, symptoms, record)
        misled = _items("What misled it", what_misled(made, record, truth, symptoms))
    return (
        f'<section class="page" id="{place.anchor}">{_navigation(place)}<h1>{escaped(Path(outcome.folder).name)}</h1>'
        f'<p><b class="{verdict}">{verdict}</b> at {made.confidence:.0%}: {escaped(first_description(outcome))}</p>'
        f"{pictures}{_ranking(record, truth)}{_answers(made, record, truth)}{misled}"
        f"<h2>Hypotheses</h2>{''.join(_hypothesis(h) for h in record['hypotheses'][:_HYPOTHESES])}</section>"
    )


def _navigation(place: Place) -> str:
    before, after = Place(place.number - 1, place.of), Place(place.number + 1, place.of)
    links = [f'<a href="#{before.anchor}">previous</a>'] if before.number >= 1 else []
    links += ['<a href="#all">all incidents</a>']
    links += [f'<a href="#{after.anchor}">next</a>'] if after.number <= place.of else []
    return f'<nav>{"".join(links)}<span class="muted">{place.number} of {place.of}</span></nav>'


def _pictures(folder: Folder, symptoms: Symptoms, record: Mapping[str, Any]) -> str:
    first, suffering = record.get("first_failing_service"), record.get("blast_radius", ())
    moved = plot_timeline(folder.incident, folder.evidence, symptoms, _MAX_PICTURE)
    spread = plot_propagation(folder.evidence, symptoms, first, suffering, folder.incident.services, _MAX_PICTURE)
    return "".join(f"<p>{picture.decode()}</p>" for picture in (moved, spread) if picture)


def _ranking(record: Mapping[str, Any], truth: Truth) -> str:
    """The first services, and the true one wherever it is."""
    true = truth.root_cause_service
    rows = [(place, row) for place, row in enumerate(record["services"], start=1)]
    kept = [(place, row) for place, row in rows if place <= _RANKED or row["service"] == true]
    body = "".join(
        f"<tr{' class=true' if row['service'] == true else ''}><td>{place}</td><td>{escaped(row['service'])}</td>"
        f"<td>{row['score']:.3f}</td><td>{'the truth' if row['service'] == true else ''}</td></tr>"
        for place, row in kept
    )
    missing = true is not None and all(row["service"] != true for _, row in rows)
    body += f'<tr class="true"><td>–</td><td>{escaped(true)}</td><td>–</td><td>not ranked</td></tr>' if missing else ""
    return (
        '<h2>Ranking</h2><table class="words"><tr><th>place</th><th>service</th><th>score</th><th></th></tr>'
        f"{body}</table>"
    )


def _answers(made: Score, record: Mapping[str, Any], truth: Truth) -> str:
    """What was said beside what is true, where the truth says something."""
    first = record["hypotheses"][0] if record["hypotheses"] else {}
    thing, true_thing = first.get("object") or {}, truth.root_cause_object
    ranked_first = record["services"][0]["service"] if record["services"] else None
    actions = [action["type"] for action in record["remediation"][:3]]
    rows: list[tuple[str, Any, Any, bool | None]] = [
        ("service", ranked_first, truth.root_cause_service, made.rank == 1 if made.rank is not None else None),
        ("change", record["root_cause_change"], truth.root_cause_change, made.change_right),
        ("deployment", record["root_cause_deployment"], truth.root_cause_deployment, made.deployment_right),
        (
            "category",
            first.get("category"),
            ", ".join((truth.category or "", *truth.category_also)),
            made.category_right,
        ),
        ("object", thing.get("name"), true_thing.name if true_thing else None, made.object_right),
        ("mechanism", first.get("mechanism"), truth.root_cause_mechanism, made.mechanism_right),
        ("action", ", ".join(actions), truth.remediation, made.remediation_right),
    ]
    body = "".join(_answer(*row) for row in rows if row[3] is not None)
    if made.radius is not None:
        said, true = ", ".join(record["blast_radius"]), ", ".join(truth.blast_radius)
        body += (
            f"<tr><td>who suffers</td><td>{escaped(said)}</td><td>{escaped(true)}</td><td>{made.radius:.2f}</td></tr>"
        )
    head = "<tr><th></th><th>said</th><th>true</th><th></th></tr>"
    return f'<h2>Answers against the truth</h2><table class="words">{head}{body}</table>'


def _answer(name: str, said: Any, true: Any, right: bool | None) -> str:
    verdict = "right" if right else "wrong"
    return (
        f"<tr><td>{name}</td><td>{escaped(said or 'cannot tell')}</td><td>{escaped(true)}</td>"
        f'<td><b class="{verdict}">{verdict}</b></td></tr>'
    )


def what_misled(made: Score, record: Mapping[str, Any], truth: Truth, symptoms: Symptoms) -> Iterator[str]:
    """Why a wrong diagnosis is wrong, in sentences: what spoke for it, and what the true service shows of itself."""
    if made.right:
        return
    hypotheses = record["hypotheses"]
    if not hypotheses:
        yield "No approach had a hypothesis."
    else:
        first = hypotheses[0]
        yield f"It followed {first['approach'].replace('_', ' ')}: {first['description']}."
        yield from (f"For it spoke: {sentence}" for sentence in first["evidence"][:_REASONS])
    yield from _about_the_true(truth.root_cause_service, symptoms)
    yield from _about_the_change(made, record, truth)
    if truth.injected_at is not None and symptoms.onset is not None:
        late = symptoms.onset - truth.injected_at
        when = "after" if late.total_seconds() >= 0 else "before"
        found = clock_on(symptoms.onset, truth.injected_at)
        yield f"The onset was taken to be {found}, {span(late)} {when} the fault began."
    if record["gaps"]:
        yield f"Sources that did not answer: {', '.join(sorted({str(gap['source']) for gap in record['gaps']}))}."


def _about_the_true(true: str | None, symptoms: Symptoms) -> Iterator[str]:
    """What the true service shows, so that one sees whether there was anything to find."""
    if true is None:
        return
    place, seen = next(((n, s) for n, s in enumerate(symptoms.services, 1) if s.service == true), (0, None))
    if seen is None:
        yield f"{true}, the true service, is in no series, line, span or catalogue of the folder."
        return
    moved = [anomaly for anomaly in symptoms.anomalies if anomaly.service == true]
    lines = [pattern for pattern in symptoms.log_patterns if pattern.service == true]
    told = f": {'; '.join(seen.reasons)}" if seen.reasons else ", with nothing that speaks for it"
    yield f"{true}, the true service, has place {place} by its symptoms{told}."
    yield from (f"Of the true service: {went(anomaly)}." for anomaly in moved[:_REASONS])
    yield from (f"Of the true service: {p.count} lines like: {p.template[:160]}" for p in lines[:2])
    if not moved and not lines:
        yield f"No series of {true} moved and its log shows nothing new: there was no trace of its own to find."


def _about_the_change(made: Score, record: Mapping[str, Any], truth: Truth) -> Iterator[str]:
    if made.decoy_convicted:
        yield f"It convicted {record['root_cause_change']}, which is known to be innocent."
    elif made.change_right is False and record["root_cause_change"] is None:
        yield f"It could not tell a change; the truth is {truth.root_cause_change}."
    elif made.change_right is False:
        yield f"It blamed {record['root_cause_change']}; the truth is {truth.root_cause_change}."


def _items(title: str, sentences: Iterable[str]) -> str:
    items = "".join(f"<li>{escaped(sentence)}</li>" for sentence in sentences)
    return f"<h2>{title}</h2><ul>{items}</ul>" if items else ""


def _hypothesis(hypothesis: Mapping[str, Any]) -> str:
    sentences = "".join(f"<li>{escaped(sentence)}</li>" for sentence in hypothesis["evidence"])
    sentences += (
        f"<li>Disproved if {escaped(hypothesis['disproved_by'])}.</li>" if hypothesis.get("disproved_by") else ""
    )
    return f"<p><b>{hypothesis['confidence']:.0%}</b> {escaped(hypothesis['description'])}</p><ul>{sentences}</ul>"
