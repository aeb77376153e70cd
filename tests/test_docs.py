"""What README and the pages of docs/ tell people to type is understood by the command line."""

from __future__ import annotations

import ast
import re
import shlex
from pathlib import Path

import pytest
import typer
import yaml

import mergesearch
from mergesearch.cli import COMMANDS, app

ROOT = Path(__file__).resolve().parents[1]
PAGES = [ROOT / "README.md", ROOT / "CONTRIBUTING.md", *sorted((ROOT / "docs").glob("*.md"))]
FENCE = re.compile(r"^( *)```(\w*)[^\n]*\n(.*?)^\1```", re.MULTILINE | re.DOTALL)
INDENTED = re.compile(r"^ {4}(?:\$ )?(search .*)$", re.MULTILINE)
INLINE = re.compile(r"(?<!`)`(search [^`\n]+)`(?!`)")
NAMES = [page.name for page in PAGES]


def commands(page: Path) -> list[list[str]]:
    """The words of every `search` command in a block of a page, without what follows a pipe."""
    text = page.read_text(encoding="utf-8")
    blocks = [
        match[3] for match in FENCE.finditer(text) if match[2] in ("", "bash", "sh", "console")
    ]
    outside = FENCE.sub("", text)
    blocks += [match[1] for match in INDENTED.finditer(outside)]
    found = []
    for block in blocks:
        for line in block.replace("\\\n", " ").splitlines():
            line = line.strip().removeprefix("$ ")
            if line.startswith("search "):
                words = shlex.split(line, comments=True)
                ends = [words.index(word) for word in ("|", "&&", ">", ";") if word in words]
                found.append(words[1 : min(ends, default=len(words))])
    return found


def parse(words: list[str]) -> None:
    """Parse the words as the command line does, without running anything."""
    group = typer.main.get_command(app)
    if words[0].startswith("-"):
        return
    command = group.get_command(None, words[0])  # type: ignore[attr-defined]
    assert command is not None, f"no command {words[0]}"
    command.make_context(words[0], words[1:])


@pytest.mark.parametrize("page", PAGES, ids=NAMES)
def test_commands_in_blocks_are_understood(page: Path) -> None:
    for words in commands(page):
        try:
            parse(words)
        except typer.Exit:
            continue  # --help
        except Exception as error:
            raise AssertionError(f"search {shlex.join(words)}: {error}") from error


@pytest.mark.parametrize("page", PAGES, ids=NAMES)
def test_commands_in_sentences_exist_with_their_options(page: Path) -> None:
    outside = FENCE.sub("", page.read_text(encoding="utf-8"))
    for match in INLINE.finditer(outside):
        name, *rest = match[1].split()[1:]
        if name.startswith("-"):
            continue
        if name == "COMMAND":
            continue
        for alternative in name.split("|"):
            assert alternative in COMMANDS, match[1]
            known = _options(alternative)
            named = re.findall(r"(?<![\w-])(--[\w-]+|-\w)(?![\w-])", " ".join(rest))
            assert set(named) <= known, f"{match[1]}: {sorted(set(named) - known)}"


def _options(name: str) -> set[str]:
    group = typer.main.get_command(app)
    command = group.get_command(None, name)  # type: ignore[attr-defined]
    context = command.make_context(name, [], resilient_parsing=True)
    return {option for parameter in context.command.params for option in parameter.opts} | {
        "--help", "-h",
    }  # fmt: skip


@pytest.mark.parametrize("page", PAGES, ids=NAMES)
def test_blocks_of_python_use_names_that_there_are(page: Path) -> None:
    for match in FENCE.finditer(page.read_text(encoding="utf-8")):
        if match[2] not in ("python", "py"):
            continue
        for node in ast.walk(ast.parse(match[3])):
            if (
                isinstance(node, ast.Attribute)
                and isinstance(node.value, ast.Name)
                and node.value.id == "mergesearch"
            ):
                assert hasattr(mergesearch, node.attr), f"{page.name}: mergesearch.{node.attr}"


def test_links_between_pages_lead_somewhere() -> None:
    for page in PAGES:
        for target in re.findall(r"\]\(([^)#\s]+)(?:#[^)]*)?\)", page.read_text(encoding="utf-8")):
            if not target.startswith(("http:", "https:", "mailto:")):
                assert (page.parent / target).exists(), f"{page.name}: {target}"


@pytest.mark.parametrize("page", PAGES, ids=NAMES)
def test_blocks_of_yaml_are_yaml(page: Path) -> None:
    for match in FENCE.finditer(page.read_text(encoding="utf-8")):
        if match[2] in ("yaml", "yml"):
            assert list(yaml.safe_load_all(match[3])), match[3]


def test_the_site_has_every_page() -> None:
    named = re.findall(r"^ +- ([\w-]+\.md)$", (ROOT / "mkdocs.yml").read_text("utf-8"), re.M)
    assert sorted(named) == [page.name for page in PAGES if page.parent.name == "docs"]
