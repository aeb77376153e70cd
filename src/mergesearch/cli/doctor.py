"""`search doctor`: what this machine and this installation offer, and what would hinder a run."""

from __future__ import annotations

import json
import os
import platform
import shutil
import sys
from dataclasses import asdict
from importlib import metadata
from pathlib import Path
from typing import Annotated, Any

import typer

from mergesearch import __version__
from mergesearch._kernels import ISA_VARIABLE, kernels, supported_variants
from mergesearch._system.machine import available_cores, available_memory
from mergesearch._system.terminal import say, say_sentence
from mergesearch.cli.options import AsJson
from mergesearch.gguf.architectures import known_architectures
from mergesearch.objectives import Runtime
from mergesearch.report import text
from mergesearch.report.progress import working
from mergesearch.runs.kinds import Kind, refuse_all_but
from mergesearch.scoring.engine.features import features
from mergesearch.scoring.phone import CONTEXT, NEW_TOKENS, try_out

_NEEDED = ("optuna", "torch", "lm-eval", "llama-cpp-python", "gguf", "numpy")
_OPTIONAL = {
    "resvg_py": ("plot", "search front --plot front.png"),
    "optuna-dashboard": ("dashboard", "search dashboard"),
    "psycopg": ("postgres", "search run --storage"),
    "math-verify": ("math", "the tasks of MATH"),
}
"""Packages that are needed for one thing only: the extra that brings each, and for what."""
_KERNELS = ("merging", "quantizing", "dequantizing", "log-probabilities")
_UNMEASURED = ("neon",)
"""Variants whose speed nobody has measured."""
_LITTLE_DISK, _LITTLE_MEMORY = 2e9, 2e9


def command(
    architectures: Annotated[
        bool,
        typer.Option(
            "--architectures", help="List the architectures of models that can be built instead."
        ),
    ] = False,
    phone: Annotated[
        Path | None,
        typer.Option(
            metavar="GGUF", help="Say what a model needs on a phone, and let it answer a question."
        ),
    ] = None,
    context: Annotated[
        int | None,
        typer.Option(
            metavar="N",
            min=64,
            help=f"Context on the phone, in tokens; default: {CONTEXT}, or the model's if shorter.",
        ),
    ] = None,
    as_json: AsJson = False,
) -> None:
    """Show what this machine offers.

    Lists processor kernels, llama.cpp, memory, disk, packages and defaults. With `--architectures`:
    which ones are built in, which need a template, and which cannot be built.

    The exit code is 1 if something would stand in the way of a run.

    Example: search doctor --phone knee.gguf
    """
    if phone is not None:
        _show_phone(phone, context, as_json)
        return
    if architectures:
        _list_architectures(as_json)
        return
    facts = _facts()
    problems = _problems(facts)
    hints = _hints(facts)
    if as_json:
        say(json.dumps(facts | {"problems": problems, "hints": hints}, indent=2))
    else:
        for name, value in facts.items():
            say(f"{name.replace('_', ' '):<18}{_shown(value)}")
        for hint in hints:
            say_sentence(f"hint: {hint}")
        for problem in problems:
            say_sentence(f"problem: {problem}")
        say("ready" if not problems else f"{len(problems)} problem(s)")
    if problems:
        sys.exit(1)


def _list_architectures(as_json: bool) -> None:
    known = known_architectures()
    if as_json:
        say(json.dumps(asdict(known), indent=2))
        return
    say("built in, by the name in config.json:")
    for name, stored in known.built_in.items():
        say(f"  {name} ({stored})")
    say(f"with --template, by the name in a GGUF: {', '.join(known.with_template)}")
    say(f"neither: {', '.join(f'{name} ({does})' for name, does in known.neither.items())}")


def _show_phone(path: Path, context: int | None, as_json: bool) -> None:
    refuse_all_but(path, Kind.GGUF)
    with working("loading the model and letting it answer"):
        found = try_out(path, context)
    speeds = found.tokens_per_second()
    if as_json:
        facts = asdict(found) | {"memory": found.memory, "tokens_per_second": dict(speeds)}
        say(json.dumps(facts, indent=2, ensure_ascii=False))
        return
    say(f"size              {text.size(found.size)}")
    say(f"KV cache          {text.size(found.cache)} for {found.context} tokens, in 16 bits")
    say(f"memory            {text.size(found.memory)} should be free")
    for name, speed in speeds.items():
        say(f"{name:<18}about {speed:.0f} tokens a second")
    say(f"asked here        {found.prompt.strip()}")
    say(f"answer            {found.answer.strip() or '(nothing)'}")
    if not found.ended:
        say(f"note: it did not end within {NEW_TOKENS} tokens; look at its stop tokens")


def _facts() -> dict[str, Any]:
    llama = features()
    runtime = asdict(Runtime())
    return {
        "mergesearch": __version__,
        "python": f"{platform.python_version()} on {platform.system()} {platform.machine()}",
        "cores": available_cores(),
        "memory_free": available_memory(),
        "disk_free": shutil.disk_usage(Path.cwd()).free,
        "kernels": dict.fromkeys(_KERNELS, kernels().name),
        "kernels_speed": "not measured" if kernels().name in _UNMEASURED else "docs/benchmarks.md",
        "kernels_chosen_by": ISA_VARIABLE if os.environ.get(ISA_VARIABLE) else "this processor",
        "kernels_here": [variant.name for variant in supported_variants()],
        "llama_cpp_gpu": llama.gpu,
        "llama_cpp_built_for": ["CPU", *llama.gpu_backends],
        "llama_cpp_cpu": list(llama.instructions),
        "packages": {name: _version(name) for name in _NEEDED},
        "runtime": runtime | {"threads": runtime["threads"] or available_cores()},
    }


def _version(package: str) -> str | None:
    try:
        return metadata.version(package)
    except metadata.PackageNotFoundError:
        return None


def _hints(facts: dict[str, Any]) -> list[str]:
    found = [
        f"for {what}: pip install 'mergesearch[{extra}]'"
        for name, (extra, what) in _OPTIONAL.items()
        if _version(name) is None
    ]
    if shutil.which("nvidia-smi") is not None and not facts["llama_cpp_gpu"]:
        found.append(
            "llama.cpp finds no GPU, although nvidia-smi is here: CUDA_VISIBLE_DEVICES hides it?"
            if facts["llama_cpp_built_for"] != ["CPU"]
            else "llama.cpp was built without the GPU that is here: docs/running.md"
        )
    return found


def _problems(facts: dict[str, Any]) -> list[str]:
    found = [
        f"{name} is not installed: pip install {name}"
        for name, version in facts["packages"].items()
        if version is None
    ]
    if facts["memory_free"] is not None and facts["memory_free"] < _LITTLE_MEMORY:
        found.append(f"only {_bytes(facts['memory_free'])} of memory is free")
    if facts["disk_free"] < _LITTLE_DISK:
        found.append(f"only {_bytes(facts['disk_free'])} is free on this disk")
    if sys.platform == "win32":
        found.append("Windows is not supported: use WSL")
    return found


def _shown(value: Any) -> str:
    if isinstance(value, dict):
        return ", ".join(f"{name} {item}" for name, item in value.items())
    if isinstance(value, list):
        return " ".join(value)
    if isinstance(value, bool):
        return "yes" if value else "no"
    return _bytes(value) if isinstance(value, int) and value > 1_000_000 else str(value)


def _bytes(count: int) -> str:
    return f"{count / 1e9:.1f} GB"
