"""What README and the pages of docs/ tell people to type is run, page by page."""

from __future__ import annotations

import re
import shlex
import shutil
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import pytest
import typer
import yaml
from helpers.command import search
from helpers.scorer_thread import scorer_in_thread
from helpers.shared_run import TRIALS

from mergesearch.cli import COMMANDS, app

ROOT = Path(__file__).resolve().parents[1]
PAGES = [ROOT / "README.md", ROOT / "CONTRIBUTING.md", *sorted((ROOT / "docs").glob("*.md"))]
NAMES = [page.name for page in PAGES]
FENCE = re.compile(
    r"^(?:<!-- not run: (?P<why>[^\n]+) -->\n)?"
    r"(?P<margin> *)```(?P<language>[^\n]*)\n(?P<text>.*?)^(?P=margin)```$",
    re.MULTILINE | re.DOTALL,
)
INLINE = re.compile(r"(?<!`)`(search [^`\n]+)`(?!`)")
COMMANDS_IN = ("sh", "console")
LANGUAGES = (*COMMANDS_IN, "python", "yaml", "text", "mermaid")
MOST_NOT_RUN = 16
SMALLER = (
    (r"--until \d\d:\d\d|--hours \d+|--trials \d+", f"--trials {TRIALS}"),
    (r"trials=\d+", f"trials={TRIALS}"),
    (r"search sweep \S+", r"\g<0> --trials 3"),
    (
        r"search check demo --objectives demo",
        "search check space.yaml --objectives objectives.yaml",
    ),
    (r"search run demo", "search run space.yaml --objectives objectives.yaml"),
)
"""What takes hours in a page, and what is as short as the run that tests share."""
ONCE = ("check", "run", "score", "sweep")
"""Commands that load tasks: on two pages they are run once."""


@dataclass(frozen=True)
class Block:
    """A block of a page: its language, its text, and why it cannot be run, None where it can."""

    place: str
    language: str
    text: str
    why_not: str | None

    def commands(self) -> list[str]:
        """Every line that is typed; in a console those after the prompt."""
        lines = [line.strip() for line in self.text.replace("\\\n", " ").splitlines()]
        if self.language == "console":
            return [line.removeprefix("$ ") for line in lines if line.startswith("$ ")]
        return [line for line in lines if line and not line.startswith("#")]


def blocks(page: Path) -> list[Block]:
    text = page.read_text(encoding="utf-8")
    return [
        Block(
            f"{page.name}:{text[: match.start('language')].count(chr(10)) + 1}",
            match["language"],
            match["text"],
            match["why"],
        )
        for match in FENCE.finditer(text)
    ]


def words_of(command: str) -> list[str]:
    """The arguments of `search`, without settings before it and what follows a pipe."""
    words = shlex.split(command, comments=True)
    while "=" in words[0]:
        del words[0]
    assert words[0] == "search", f"only `search` is run, mark the block as not run: {command}"
    ends = [words.index(word) for word in ("|", "&&", ">", ";") if word in words]
    return words[1 : min(ends, default=len(words))]


@pytest.fixture(autouse=True, scope="module")
def _scorer_in_thread() -> Iterator[None]:
    """No process has to load lm-eval and llama.cpp anew."""
    with scorer_in_thread():
        yield


@pytest.fixture
def workplace(
    swept: Path, objectives: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The folder that pages are written for: a space, objectives, and a run that is finished."""
    shutil.copy(swept / "space.yaml", tmp_path)
    shutil.copy(objectives, tmp_path / "objectives.yaml")
    for name in ("demo", "night"):
        shutil.copytree(swept, tmp_path / "results" / name)
    monkeypatch.chdir(tmp_path)


@pytest.fixture(scope="module")
def done() -> set[tuple[str, ...]]:
    """Commands of `ONCE` that were run."""
    return set()


@pytest.mark.whole
@pytest.mark.parametrize("page", PAGES, ids=NAMES)
def test_blocks_of_a_page_run_one_after_the_other(
    page: Path, request: pytest.FixtureRequest, done: set[tuple[str, ...]]
) -> None:
    found = [block for block in blocks(page) if block.why_not is None]
    if any(block.language in ("python", *COMMANDS_IN) for block in found):
        request.getfixturevalue("workplace")
    names: dict[str, object] = {}
    for block in found:
        text = block.text
        for pattern, smaller in SMALLER:
            text = re.sub(pattern, smaller, text)
        if block.language == "python":
            exec(compile(text, block.place, "exec"), names)
        elif block.language in COMMANDS_IN:
            for command in Block(block.place, block.language, text, None).commands():
                _run(command, block.place, done)


def _run(command: str, place: str, done: set[tuple[str, ...]]) -> None:
    words = words_of(command)
    key = tuple(word.replace("results/night", "results/demo") for word in words)
    if words[0] in ONCE and key in done:
        return
    done.add(key)
    outcome = search(*words)
    assert outcome.code == 0, (place, command, outcome)


@pytest.mark.parametrize("page", PAGES, ids=NAMES)
def test_every_block_says_what_it_is(page: Path) -> None:
    for block in blocks(page):
        assert block.language in LANGUAGES, block.place
    assert "```" not in FENCE.sub("", page.read_text(encoding="utf-8"))


def test_few_blocks_are_not_run() -> None:
    marked = [block for page in PAGES for block in blocks(page) if block.why_not]
    assert len(marked) <= MOST_NOT_RUN
    assert {block.language for block in marked} == {"sh"}
    for block in marked:
        for command in block.commands():
            if command.startswith("search "):
                parse(words_of(command))


def parse(words: list[str]) -> None:
    """Parse the words as the command line does, without running anything."""
    group = typer.main.get_command(app)
    command = group.get_command(None, words[0])  # type: ignore[attr-defined]
    assert command is not None, f"no command {words[0]}"
    command.make_context(words[0], words[1:])


@pytest.mark.parametrize("page", PAGES, ids=NAMES)
def test_commands_in_sentences_exist_with_their_options(page: Path) -> None:
    outside = FENCE.sub("", page.read_text(encoding="utf-8"))
    for match in INLINE.finditer(outside):
        name, *rest = match[1].split()[1:]
        if name.startswith("-") or name == "COMMAND":
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


def test_links_between_pages_lead_somewhere() -> None:
    for page in PAGES:
        for target in re.findall(r"\]\(([^)#\s]+)(?:#[^)]*)?\)", page.read_text(encoding="utf-8")):
            if not target.startswith(("http:", "https:", "mailto:")):
                assert (page.parent / target).exists(), f"{page.name}: {target}"


@pytest.mark.parametrize("page", PAGES, ids=NAMES)
def test_blocks_of_yaml_are_yaml(page: Path) -> None:
    for block in blocks(page):
        if block.language == "yaml":
            assert list(yaml.safe_load_all(block.text)), block.place


def test_the_site_has_every_page() -> None:
    named = re.findall(r"^ +- ([\w-]+\.md)$", (ROOT / "mkdocs.yml").read_text("utf-8"), re.M)
    assert sorted(named) == [page.name for page in PAGES if page.parent.name == "docs"]
