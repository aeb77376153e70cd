"""Where a command writes to, and what it leaves alone."""

from __future__ import annotations

import importlib
import os
from pathlib import Path

import pytest
import typer

from mergesearch.cli import COMMANDS
from mergesearch.cli.output import STANDARD_OUTPUT, csv_text, deliver, refuse_existing
from mergesearch.errors import InputError


def test_every_command_that_writes_has_the_same_option() -> None:
    spellings = {}
    for name in COMMANDS:
        single = typer.Typer(add_completion=False)
        single.command()(importlib.import_module(f"mergesearch.cli.{name}").command)
        for option in typer.main.get_command(single).params:
            if option.name == "out" or "-o" in option.opts:
                spellings[name] = (option.opts, option.metavar in ("FILE", "DIR", "PATH"))
    writing = ["run", "worker", "sweep", "report", "export", "build", "init"]
    assert spellings == dict.fromkeys(writing, (["-o", "--out", "--output"], True))


def test_a_text_goes_to_a_file_or_to_standard_output(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    file = tmp_path / "new" / "r.yaml"
    file.parent.mkdir()
    deliver("a: 1\n", file, False, "written")
    assert file.read_text() == "a: 1\n"
    assert capsys.readouterr().out == "written\n"
    deliver("a: 1\n", STANDARD_OUTPUT, False, "written")
    assert capsys.readouterr().out == "a: 1\n"


def test_a_file_is_replaced_on_demand_only(tmp_path: Path) -> None:
    file = tmp_path / "r.yaml"
    file.write_text("mine")
    with pytest.raises(InputError, match="exists already"):
        deliver("theirs", file, False, "written")
    assert file.read_text() == "mine"
    deliver("theirs", file, True, "written")
    assert file.read_text() == "theirs"


@pytest.mark.parametrize("name", ["objectives.yaml", "space.yaml", "goal.json"])
def test_what_a_run_resumes_from_is_never_replaced(name: str, tmp_path: Path) -> None:
    (tmp_path / name).write_text("mine")
    refuse_existing(tmp_path / name, force=True)
    (tmp_path / "study.db").touch()
    with pytest.raises(InputError, match=f"{name}: is what a run resumes from, so it is left"):
        refuse_existing(tmp_path / name, force=True)


@pytest.mark.parametrize("name", ["m.gguf", "m.safetensors", "report.pdf", "study.db"])
def test_a_text_does_not_go_where_something_else_is_meant(name: str, tmp_path: Path) -> None:
    with pytest.raises(InputError, match="is not the ending of a text"):
        deliver("a: 1", tmp_path / name, True, "written")
    assert not (tmp_path / name).exists()


def test_what_is_not_a_file_is_left_alone(tmp_path: Path) -> None:
    pipe = tmp_path / "pipe"
    os.mkfifo(pipe)
    with pytest.raises(InputError, match="is a folder"):
        deliver("text", tmp_path, True, "written")
    with pytest.raises(InputError, match="not a regular file"):
        deliver("text", pipe, True, "written")


def test_rows_of_a_table_may_lack_columns() -> None:
    rows: list[dict[str, object]] = [{"trial": 0, "a": 0.5}, {"trial": 1, "b": "x, y"}]
    assert csv_text(rows) == 'trial,a,b\n0,0.5,\n1,,"x, y"\n'
