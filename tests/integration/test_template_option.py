"""`--template`: architectures that are not built in, through the commands."""

from __future__ import annotations

from pathlib import Path

from helpers.command import search
from helpers.parents import make_parent

from mergesearch.build import open_gguf


def test_build_with_a_template(template: str) -> None:
    refused = search("build", "recipe.yaml", "-o", "m.gguf")
    assert refused.code != 0
    assert "--template FILE.gguf" in refused.err
    built = search("build", "recipe.yaml", "-o", "m.gguf", "--template", template)
    assert built.code == 0, built
    with open_gguf(Path("m.gguf")) as opened:
        assert built.out == f"{opened.digest}  m.gguf\n"
    again = search("build", "recipe.yaml", "--quant", "F16", "-o", "b.gguf", "--template", template)
    assert again.code == 0, again
    assert Path("b.gguf").read_bytes() == Path(template).read_bytes()


def test_a_finished_model_needs_no_template(template: str) -> None:
    outcome = search("score", template, "--objectives", "demo", "--template", template)
    assert outcome.code == 2
    assert "template only works with a recipe" in outcome.err


def test_a_run_proves_its_template_first(template: str) -> None:
    """A template that no parent explains ends the run before anything is written."""
    make_parent(Path("a"), 7)
    recipe = Path("recipe.yaml").read_text()
    Path("space.yaml").write_text(recipe.replace("weight: 1", "weight: {search: [0, 1]}"))
    before = sorted(Path().iterdir())
    outcome = search("run", "space.yaml", "--objectives", "demo", "--template", template)
    assert outcome.code != 0
    assert "its values are not found" in outcome.err
    assert [path for path in sorted(Path().iterdir()) if path.name != "results"] == before
