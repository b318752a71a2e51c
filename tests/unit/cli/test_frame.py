import json
import subprocess
import sys
from pathlib import Path

import pytest

from incident_pipeline.cli.lazy import hoist
from incident_pipeline.cli.main import COMMANDS, OF_ONE_INCIDENT
from tests.unit.cli.runner import ROOT, call, process


def test_no_arguments_say_what_it_is_and_five_commands() -> None:
    result = call()
    assert result.exit_code == 0
    named = [line.split()[1] for line in result.stdout.splitlines() if line.startswith("  incident-pipeline ")]
    assert named == ["replay", "config", "up", "alert", "incidents"]
    assert set(named) <= set(COMMANDS)


def test_help_lists_every_command_with_its_summary() -> None:
    result = call("--help")
    assert result.exit_code == 0
    for name, entry in COMMANDS.items():
        assert f"  {name} " in result.stdout
        assert entry.summary.split()[0] in result.stdout


@pytest.mark.parametrize("words", [["--help"], [], ["config", "--help"]])
def test_help_imports_nothing_that_is_slow(words: list[str]) -> None:
    code = (
        "import sys\nfrom incident_pipeline.cli.main import app\n"
        f"try: app({words})\nexcept SystemExit: pass\n"
        "slow = {'pandas', 'torch', 'duckdb', 'dagster', 'sqlalchemy', 'httpx', 'incident_pipeline.config'}\n"
        "sys.exit(str(slow & set(sys.modules) or ''))"
    )
    done = subprocess.run([sys.executable, "-c", code], cwd=ROOT, capture_output=True, text=True, check=False)
    assert done.stderr.strip() == ""


@pytest.mark.parametrize(
    ("words", "sentence"),
    [
        (["confg"], "there is no command 'confg'; did you mean config?"),
        (["config", "chek"], "there is no command 'chek'; did you mean check?"),
        (["qqq"], "there is no command 'qqq'; see incident-pipeline --help"),
        (["config", "check", "--jsn"], "No such option: --jsn"),
        (["config", "check", "--config"], "Option '--config' requires an argument"),
        (["config", "check", "--config", "absent.yaml"], "absent.yaml: there is no such file"),
    ],
)
def test_wrong_usage_and_configuration_end_with_2_and_a_sentence(
    words: list[str], sentence: str, tmp_path: Path
) -> None:
    done = process(*words, cwd=tmp_path)
    assert done.returncode == 2
    assert sentence in done.stderr.decode()
    assert b"Traceback" not in done.stderr
    assert done.stdout == b""


def test_the_configuration_s_mistake_is_one_line_on_stderr(tmp_path: Path) -> None:
    (tmp_path / "incident.yaml").write_text("scenario:\n  context: {logs: {lookback: 2 hours}}\n")
    done = process("config", "check", "--json", cwd=tmp_path)
    assert (done.returncode, done.stdout) == (2, b"")
    assert done.stderr.decode() == (
        "incident-pipeline: incident.yaml: context.logs.lookback: '2 hours' is not a duration; "
        "write 90s, 15m, 24h or 7d\n"
    )


@pytest.mark.parametrize("place", [0, 1, 2, 3])
def test_config_and_data_dir_may_stand_anywhere(place: int, tmp_path: Path) -> None:
    config = tmp_path / "other.yaml"
    config.write_text("scenario: {name: found}")
    words = ["config", "check", "--json"]
    words[place:place] = ["--config", str(config), f"--data-dir={tmp_path / 'elsewhere'}"]
    report = json.loads(call(*words).stdout)
    values = {key["key"]: key["value"] for key in report["keys"]}
    assert (values["name"], values["data_dir"]) == ("found", str(tmp_path / "elsewhere"))


@pytest.mark.parametrize(
    ("words", "expected"),
    [
        (["show", "X", "--config", "f"], ["--config", "f", "show", "X"]),
        (["show", "--data-dir=d", "X"], ["--data-dir=d", "show", "X"]),
        (["sql", "--", "--config", "f"], ["sql", "--", "--config", "f"]),
        (["show", "--config"], ["--config"]),
        (["show", "--configuration", "f"], ["show", "--configuration", "f"]),
    ],
)
def test_options_of_the_program_are_taken_from_anywhere_before_the_dashes(
    words: list[str], expected: list[str]
) -> None:
    assert hoist(words) == expected


def test_a_reader_that_goes_away_is_no_error(tmp_path: Path) -> None:
    command = f"{sys.executable} -m incident_pipeline.cli config schema | head -c 10"
    environment = {"PATH": "/usr/bin:/bin", "PYTHONPATH": str(ROOT)}
    done = subprocess.run(
        ["bash", "-c", command], cwd=tmp_path, env=environment, capture_output=True, timeout=60, check=False
    )
    assert (done.stdout[:1], done.stderr) == (b"{", b"")


def test_a_terminal_that_cannot_show_a_letter_still_gets_the_answer(tmp_path: Path) -> None:
    (tmp_path / "incident.yaml").write_text(
        "scenario: {name: n\N{LATIN SMALL LETTER O WITH DIAERESIS}\N{SNOWMAN}\U0001f6a8}"
    )
    for words in (["--json"], []):
        done = process("config", "check", *words, cwd=tmp_path, environ={"PYTHONIOENCODING": "latin-1"})
        assert (done.returncode, done.stderr) == (0, b"")
        if words:
            assert json.loads(done.stdout)["keys"][0]["value"] == "n\xf6\u2603\U0001f6a8"


def test_a_data_dir_that_is_a_file_is_one_sentence(tmp_path: Path) -> None:
    (tmp_path / "data").write_text("")
    done = process("alert", "--title", "x", cwd=tmp_path)
    assert done.returncode == 2
    place = tmp_path / "data"
    said = f"incident-pipeline: data_dir: {place} is not a folder; name one that is, or that is not there yet\n"
    assert done.stderr.decode() == said


def test_arguments_that_are_no_text_are_no_traceback(tmp_path: Path) -> None:
    done = subprocess.run(
        [sys.executable, "-m", "incident_pipeline.cli", "ack", b"\xff\xfe"],
        cwd=tmp_path,
        env={"PYTHONPATH": str(ROOT)},
        capture_output=True,
        check=False,
    )
    assert done.returncode == 2
    assert done.stderr == b"incident-pipeline: an argument is not UTF-8 text\n"


def test_a_place_that_cannot_be_read_is_one_sentence(tmp_path: Path) -> None:
    (tmp_path / "incident.yaml").mkdir()
    done = process("config", "check", cwd=tmp_path)
    assert done.returncode == 2
    assert done.stderr.decode() == "incident-pipeline: incident.yaml: cannot be read (Is a directory)\n"


def test_what_is_done_with_one_incident_is_understood_below_incidents_too() -> None:
    assert call("incidents", "ack", "--help").stdout == call("ack", "--help").stdout.replace(
        "incident-pipeline ack [", "incident-pipeline incidents ack ["
    )
    assert "did you mean show?" in call("incidents", "shw", "x").stderr
    assert "  ack " not in call("incidents", "--help").stdout


@pytest.mark.parametrize("name", [name for name in OF_ONE_INCIDENT if name != "mute"])
def test_an_incident_that_is_not_there_is_one_sentence(name: str, tmp_path: Path) -> None:
    more = {"merge": ["INC-none"], "split": ["x"], "diff": ["logs", "1", "2"], "export": [str(tmp_path / "out")]}
    more["confirm"] = ["--cause", "x"]
    more |= {"approve": ["a1"], "reject": ["a1"], "settle": ["a1", "--done"]}
    result = call(name, "INC-none", *more.get(name, []), "--data-dir", str(tmp_path / "data"))
    assert (result.exit_code, result.stdout) == (1, "")
    assert result.stderr.startswith("incident-pipeline: ")
    assert "INC-none" in result.stderr
    assert result.stderr.count("\n") == 1


def test_a_file_that_cannot_be_written_is_one_sentence(tmp_path: Path) -> None:
    result = call("init", "--yes", "--config", str(tmp_path / "absent" / "incident.yaml"))
    assert result.exit_code == 1
    assert result.stderr == f"incident-pipeline: {tmp_path}/absent/incident.yaml: No such file or directory\n"
