"""The group of commands: what it lists, what it loads, and where errors end."""

from __future__ import annotations

import importlib
import inspect
import os
import re
import shlex
import subprocess
import sys
from pathlib import Path

import pytest
from helpers.command import search
from helpers.parents import make_family, recipe_of

import mergesearch.cli
from mergesearch import __version__
from mergesearch.cli import COMMANDS


def test_every_command_begins_its_help_with_its_summary() -> None:
    for name, summary in COMMANDS.items():
        command = importlib.import_module(f"mergesearch.cli.{name}").command
        assert inspect.getdoc(command).splitlines()[0] == summary
        assert f"Example: search {name}" in inspect.getdoc(command)


@pytest.mark.parametrize("flag", ["-h", "--help"])
def test_the_list_of_commands_shows_every_summary_whole(flag: str) -> None:
    outcome = search(flag)
    assert outcome.code == 0
    for name, summary in COMMANDS.items():
        assert f"  {name:<9}  {summary}\n" in outcome.out
    assert max(map(len, outcome.out.splitlines())) <= 80


@pytest.mark.parametrize("name", COMMANDS)
def test_every_command_has_help(name: str) -> None:
    outcome = search(name, "-h")
    assert outcome.code == 0
    assert outcome.out.startswith(f"Usage: search {name} ")
    assert max(map(len, outcome.out.splitlines())) <= 80


def test_a_command_that_does_not_exist_is_answered_with_the_nearest() -> None:
    outcome = search("stauts")
    assert outcome.code == 2
    assert "Did you mean 'status'?" in outcome.err


def test_the_version_is_printed() -> None:
    assert search("--version").out == f"mergesearch {__version__}\n"


@pytest.mark.whole
def test_listing_the_commands_loads_none_of_them() -> None:
    code = """
import sys
from mergesearch.cli import main
try:
    main(["--help"])
finally:
    heavy = {"numpy", "optuna", "rich", "sqlalchemy", "torch", "yaml"}
    print(sorted(heavy & set(sys.modules)), [m for m in sys.modules if "mergesearch.cli." in m])
"""
    result = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True)
    assert result.stdout.splitlines()[-1] == "[] []"


@pytest.mark.parametrize("to", ["safetensors", "upload"])
def test_a_build_never_replaces_its_parents(to: str, tmp_path: Path) -> None:
    family = make_family(tmp_path / "parents")
    recipe = tmp_path / "recipe.yaml"
    recipe.write_text(recipe_of(family, "ties").to_yaml())
    outcome = search("build", recipe, "--to", to, "-o", family["a"], "--force")
    assert outcome.code == 2
    assert "is a parent of the merge, so it is left alone" in outcome.err


@pytest.mark.whole
def test_a_recipe_is_built_without_what_a_search_needs(tmp_path: Path) -> None:
    """Starting is a large part of a short build."""
    recipe = tmp_path / "recipe.yaml"
    recipe.write_text(recipe_of(make_family(tmp_path / "parents"), "ties").to_yaml())
    code = f"""
import sys
from mergesearch.cli import main
try:
    main(["build", {str(recipe)!r}, "-o", {str(tmp_path / "m.gguf")!r}])
finally:
    heavy = {{"optuna", "scipy", "sqlalchemy", "torch", "llama_cpp", "lm_eval", "pandas"}}
    print(sorted(heavy & set(sys.modules)))
"""
    result = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True)
    assert result.stdout.splitlines()[-1] == "[]", result.stderr


@pytest.mark.whole
def test_a_trial_is_shown_without_what_builds_and_loading_is_said_by_something_light() -> None:
    code = """
import sys
import mergesearch.report.progress
print(sorted({"numpy", "optuna", "pydantic", "sqlalchemy"} & set(sys.modules)))
import mergesearch.cli.show
print(sorted({"mergesearch.build", "mergesearch.merge", "torch", "scipy"} & set(sys.modules)))
"""
    result = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True)
    assert result.stdout.splitlines() == ["[]", "[]"], result.stderr


@pytest.mark.whole
def test_the_package_is_the_command() -> None:
    command = [sys.executable, "-m", "mergesearch", "stauts"]
    result = subprocess.run(command, capture_output=True, text=True)
    assert (result.returncode, "Did you mean 'status'?" in result.stderr) == (2, True), result


def test_commands_print_by_the_one_function_that_escapes_what_others_wrote() -> None:
    for path in Path(mergesearch.cli.__file__).parent.glob("*.py"):
        source = path.read_text(encoding="utf-8")
        assert not re.search(r"(?<![\w.])(print|Console)\(", source), path


def test_a_name_in_an_error_cannot_steer_the_terminal() -> None:
    outcome = search("front", "/nowhere\x1b[2J")
    assert "\x1b" not in outcome.err
    assert "/nowhere\\u001b[2J: no such folder" in outcome.err


def test_a_current_folder_that_is_gone_is_one_sentence(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    gone = tmp_path / "gone"
    gone.mkdir()
    monkeypatch.chdir(gone)
    gone.rmdir()
    outcome = search("front", "results/night")
    assert (outcome.code, outcome.err) == (2, "error: the current folder: no such file\n")


@pytest.mark.whole
def test_a_stream_that_knows_ascii_only_gets_escapes() -> None:
    environment = {**os.environ, "PYTHONIOENCODING": "ascii"}
    result = subprocess.run(
        [sys.executable, "-m", "mergesearch", "front", "/±"],
        capture_output=True,
        text=True,
        env=environment,
    )
    assert result.returncode == 2
    assert result.stderr.startswith("error: /\\xb1: no such folder")


def test_closed_streams_take_nothing_and_lend_no_number(tmp_path: Path) -> None:
    """As under a supervisor that closes them; a file that got their number would be written to."""
    code = (
        "import os, sys; from mergesearch.cli import main\n"
        "try: main(['--version'])\n"
        f"finally: open({str(tmp_path / 'fd')!r}, 'w').write(str(os.open(os.devnull, os.O_RDONLY)))"
    )
    closing = shlex.join([sys.executable, "-c", code]) + " <&- >&- 2>&-"
    done = subprocess.run(["bash", "-c", closing], check=False, cwd=tmp_path)
    assert done.returncode == 0
    assert int((tmp_path / "fd").read_text()) > 2
