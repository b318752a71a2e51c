"""Metrics as CSV, long or wide, read without pandas: importing it costs more than reading.

Belongs here: the two forms of `metrics.csv`, and series names with labels in braces.
"""

from __future__ import annotations

import csv
import io
import re
from collections.abc import Callable, Collection, Iterable, Mapping, Sequence
from itertools import pairwise

from incident_pipeline.incident_folder.files import Parsed, UnreadableFileError, skipped_note
from incident_pipeline.models import MetricSeries
from incident_pipeline.moments import format_moment, parse_moment

_TIME_COLUMNS = ("timestamp", "time", "ts", "@timestamp", "date", "datetime")
_LONG_COLUMNS = ("timestamp", "service", "metric", "value")
_LABEL = re.compile(r"""\s*([^=,"]+?)\s*=\s*("(?:[^"\\]|\\.)*"|[^,"]*)\s*(?:,|$)""")
_PLAIN_VALUE = re.compile(r"""[^,"\\{}\s=][^,"\\{}\r\n]*""")

Key = tuple[str | None, str]
Points = tuple[list[float], list[float]]


def read_metrics(name: str, text: str, services: Collection[str] = ()) -> Parsed[MetricSeries]:
    """Read a long or wide CSV file.

    Args:
        name: of the file, for sentences.
        text: the file's text.
        services: names that are known, to tell `service_metric` columns apart.

    Raises:
        UnreadableFileError: no header with a column of times, or no line of it can be read.
    """
    csv.field_size_limit(2**31 - 1)
    lines = csv.reader(io.StringIO(text, newline=""), skipinitialspace=True)
    try:
        header = [cell.strip() for cell in next(lines, [])]
        columns = [cell.lower() for cell in header]
        if "metric" in columns and "value" in columns:
            return _read_long(name, lines, columns)
        at = next((columns.index(column) for column in _TIME_COLUMNS if column in columns), None)
        if at is None and columns[:1] == [""]:
            at = 0
        if at is not None:
            return _read_wide(name, lines, header, at, services)
    except csv.Error as error:
        raise UnreadableFileError(f"{name}: not CSV ({error})") from error
    forms = "timestamp,service,metric,value, or timestamp and one column per series"
    raise UnreadableFileError(f"{name}: the first line has to name the columns: {forms}")


def split_labels(text: str) -> tuple[str, dict[str, str]]:
    """`latency_p99{version=v2,pod=a}` -> name and labels; a value with odd characters is in double quotes."""
    name, brace, inner = text.partition("{")
    if not brace or not inner.rstrip().endswith("}"):
        return text.strip(), {}
    inner = inner.rstrip()[:-1]
    labels: dict[str, str] = {}
    position = 0
    while position < len(inner):
        match = _LABEL.match(inner, position)
        if match is None:
            return text.strip(), {}
        value = match[2]
        quoted = len(value) >= 2 and value[0] == '"'
        labels[match[1]] = re.sub(r"\\(.)", _unescape, value[1:-1]) if quoted else value.strip()
        position = match.end()
    return name.strip(), labels


def join_labels(name: str, labels: Mapping[str, str]) -> str:
    """The text that `split_labels` reads back."""
    if not labels:
        return name
    return name + "{" + ",".join(f"{key}={_quoted(value)}" for key, value in sorted(labels.items())) + "}"


def write_metrics(series: Iterable[MetricSeries]) -> str:
    """The long form of the series, as CSV text."""
    out = io.StringIO()
    writer = csv.writer(out, lineterminator="\n")
    writer.writerow(_LONG_COLUMNS)
    moments: dict[float, str] = {}
    for one in series:
        metric = join_labels(one.name, one.labels)
        for timestamp, value in zip(one.timestamps, one.values, strict=True):
            moment = moments.get(timestamp)
            if moment is None:
                moment = moments[timestamp] = _moment_text(timestamp)
            writer.writerow((moment, one.service or "", metric, "NaN" if value != value else repr(value)))
    return out.getvalue()


def _read_long(name: str, lines: Iterable[list[str]], columns: list[str]) -> Parsed[MetricSeries]:
    at = next((columns.index(column) for column in _TIME_COLUMNS if column in columns), None)
    if at is None:
        raise UnreadableFileError(f"{name}: no column timestamp")
    metric_at, value_at = columns.index("metric"), columns.index("value")
    service_at = columns.index("service") if "service" in columns else None
    known = {at, metric_at, value_at, service_at}
    loose = [(index, column) for index, column in enumerate(columns) if index not in known and column]
    seconds = _Seconds()
    points: dict[tuple[str, ...], Points] = {}
    skipped: list[tuple[int, str]] = []
    for number, line in enumerate(lines, start=2):
        if not line:
            continue
        try:
            moment, value = seconds[line[at]], _number(line[value_at])
            service = "" if service_at is None else line[service_at]
            key = (service, line[metric_at], *(line[index] for index, _ in loose))
        except (ValueError, IndexError) as error:
            skipped.append((number, "too few columns" if isinstance(error, IndexError) else str(error)))
            continue
        found = points.get(key)
        if found is None:
            found = points[key] = ([], [])
        found[0].append(moment)
        found[1].append(value)
    series = tuple(_long_series(key, [column for _, column in loose], found) for key, found in points.items())
    return _result(name, series, skipped, sum(len(moments) for moments, _ in points.values()))


def _long_series(key: tuple[str, ...], loose: list[str], points: Points) -> MetricSeries:
    metric, labels = split_labels(key[1])
    extra = {column: value for column, value in zip(loose, key[2:], strict=True) if value}
    unit = extra.pop("unit", None)
    return _series(key[0].strip() or None, metric, {**extra, **labels}, points, unit)


def _read_wide(
    name: str, lines: Iterable[list[str]], header: Sequence[str], at: int, services: Collection[str]
) -> Parsed[MetricSeries]:
    # a column without a name is the index that some tools write
    places = [index for index, column in enumerate(header) if index != at and column]
    split = _column_splitter([header[index] for index in places], services)
    seconds = _Seconds()
    points: dict[int, Points] = {index: ([], []) for index in places}
    skipped: list[tuple[int, str]] = []
    for number, line in enumerate(lines, start=2):
        if not line:
            continue
        try:
            moment = seconds[line[at]]
            values = [_number(line[index]) if index < len(line) else float("nan") for index in places]
        except (ValueError, IndexError) as error:
            skipped.append((number, "too few columns" if isinstance(error, IndexError) else str(error)))
            continue
        for index, value in zip(places, values, strict=True):
            points[index][0].append(moment)
            points[index][1].append(value)
    series, read = [], 0
    for index, found in points.items():
        service, text = split(header[index])
        metric, labels = split_labels(text)
        if metric and found[0]:
            series.append(_series(service, metric, labels, found, None))
            read += len(found[0])
    return _result(name, tuple(series), skipped, read)


def _column_splitter(columns: Sequence[str], services: Collection[str]) -> Callable[[str], Key]:
    """How the columns of one wide file are told into service and metric.

    `service|metric` says it. Of `service_metric` the longest known service is taken; a file in which no column begins
    with a known service, although some are known, has plain metric names; else the first underscore divides.
    """
    known = sorted((service for service in services if service), key=len, reverse=True)
    plain = bool(known) and not any(_known_prefix(column, known) for column in columns)

    def split(column: str) -> Key:
        service, bar, metric = column.partition("|")
        if bar:
            return service.strip() or None, metric.strip()
        found = _known_prefix(column, known)
        if found:
            return found, column[len(found) + 1 :]
        name = column.partition("{")[0]
        service, underscore, metric = name.partition("_")
        if plain or not (service and underscore and metric):
            return None, column
        return service, column[len(service) + 1 :]

    return split


def _known_prefix(column: str, known: Sequence[str]) -> str | None:
    return next((s for s in known if len(column) > len(s) + 1 and column.startswith(s) and column[len(s)] == "_"), None)


def _series(service: str | None, metric: str, labels: dict[str, str], points: Points, unit: str | None) -> MetricSeries:
    moments, values = points
    if any(later <= earlier for earlier, later in pairwise(moments)):
        last_said = dict(zip(moments, values, strict=True))
        moments = sorted(last_said)
        values = [last_said[moment] for moment in moments]
    return MetricSeries(
        name=metric, service=service, labels=labels, unit=unit, timestamps=tuple(moments), values=tuple(values)
    )


def _result(
    name: str, series: tuple[MetricSeries, ...], skipped: list[tuple[int, str]], read: int
) -> Parsed[MetricSeries]:
    notes = skipped_note(name, "line", skipped)
    if skipped and not series:
        raise UnreadableFileError(notes[0])
    repeated = read - sum(len(one.timestamps) for one in series)
    if repeated:
        notes += (f"{name}: {repeated} samples left out whose series has a later line for the same moment",)
    return Parsed(series, notes)


class _Seconds(dict[str, float]):
    """Text of a moment -> seconds since 1970; each text is parsed once, for samples share their times."""

    def __missing__(self, text: str) -> float:
        if not text:
            raise ValueError("timestamp: missing")
        seconds = self[text] = parse_moment(text).timestamp()
        return seconds


def _number(text: str) -> float:
    try:
        return float(text)
    except ValueError:
        if text.strip().lower() in ("", "null", "none", "na", "n/a", "-"):
            return float("nan")
        raise ValueError(f"value: {text[:40]!r} is not a number") from None


def _unescape(match: re.Match[str]) -> str:
    return {"n": "\n", "r": "\r"}.get(match[1], match[1])


def _quoted(value: str) -> str:
    if _PLAIN_VALUE.fullmatch(value) and value == value.strip():
        return value
    escaped = value.replace("\\", "\\\\").replace('"', '\\"').replace("\n", "\\n").replace("\r", "\\r")
    return f'"{escaped}"'


def _moment_text(seconds: float) -> str:
    text = format_moment(parse_moment(seconds))
    return text if parse_moment(text).timestamp() == seconds else repr(seconds)
