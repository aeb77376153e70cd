"""Mutation testing of the pure modules: a test has to fail for each small change of the code.

    python -m tools.mutants [MODULE ...]      for example: python -m tools.mutants study.pareto

Every comparison, operator, constant, condition and returned value of a module is changed, one at a
time, and the tests that mirror the module run on the result: `tests/study/test_pareto.py` for
`study.pareto`. A change that no test notices is a survivor, and is printed. Left alone is what says
something rather than does it: messages of errors, docstrings, annotations, decorators.

A mutant lives in a forked process that imports the changed code in place of the file, so that
tables and defaults of a module are changed too, and nothing is written to disk.
"""

from __future__ import annotations

import ast
import copy
import importlib.util
import os
import signal
import sys
import time
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from importlib.abc import Loader, MetaPathFinder
from importlib.machinery import ModuleSpec
from pathlib import Path
from types import CodeType, ModuleType

import pytest
from hypothesis import Phase, settings

import mergesearch

ROOT = Path(__file__).resolve().parents[1]
PACKAGE = Path(mergesearch.__file__ or "").parent

# Modules that compute and do nothing else.
MODULES = (
    "quantize.mix",
    "scoring.aggregate",
    "scoring.sampling",
    "study.pareto",
    "tasks.checks",
    "tasks.needle",
)
WANTED = 0.9  # share of mutants that tests have to notice
PATIENCE = 5.0  # a mutant that takes so many times the time of the unchanged module hangs

_COMPARISONS: dict[type[ast.cmpop], tuple[type[ast.cmpop], ...]] = {
    ast.Lt: (ast.LtE, ast.GtE),
    ast.LtE: (ast.Lt, ast.Gt),
    ast.Gt: (ast.GtE, ast.LtE),
    ast.GtE: (ast.Gt, ast.Lt),
    ast.Eq: (ast.NotEq,),
    ast.NotEq: (ast.Eq,),
    ast.In: (ast.NotIn,),
    ast.NotIn: (ast.In,),
    ast.Is: (ast.IsNot,),
    ast.IsNot: (ast.Is,),
}
_OPERATORS: dict[type[ast.operator], type[ast.operator]] = {
    ast.Add: ast.Sub,
    ast.Sub: ast.Add,
    ast.Mult: ast.Div,
    ast.Div: ast.Mult,
    ast.FloorDiv: ast.Div,
    ast.Mod: ast.Mult,
    ast.Pow: ast.Mult,
    ast.BitAnd: ast.BitOr,
    ast.BitOr: ast.BitAnd,
    ast.MatMult: ast.Mult,
}


@dataclass(frozen=True)
class Mutant:
    """A module with one change."""

    line: int
    change: str
    code: CodeType


def changes(node: ast.AST) -> Iterator[ast.AST]:
    """Yield what may stand in the place of `node`."""
    match node:
        case ast.Compare(left, [operator], [right]):
            for other in _COMPARISONS[type(operator)]:
                yield ast.Compare(left, [other()], [right])
        case ast.BinOp(left, operator, right) if type(operator) in _OPERATORS:
            yield ast.BinOp(left, _OPERATORS[type(operator)](), right)
        case ast.BoolOp(operator, values):
            yield ast.BoolOp(ast.Or() if isinstance(operator, ast.And) else ast.And(), values)
        case ast.UnaryOp(ast.Not() | ast.USub(), operand):
            yield operand
        case ast.Constant(bool(value)):
            yield ast.Constant(not value)
        case ast.Constant(int(value) | float(value)):
            yield ast.Constant(value + 1)
        case ast.Constant(str(value)):
            yield ast.Constant(value + "~")
        case ast.IfExp(test, body, otherwise):
            yield body
            yield otherwise
        case ast.If(test, body, otherwise) | ast.While(test, body, otherwise):
            yield type(node)(ast.UnaryOp(ast.Not(), test), body, otherwise)
        case ast.comprehension(target, source, [_, *_]):
            yield ast.comprehension(target, source, [], node.is_async)
        case ast.Return(ast.expr() as value) if not _is_none(value):
            yield ast.Return(ast.Constant(None))
        case ast.Break():
            yield ast.Continue()
        case ast.Continue():
            yield ast.Break()


def _is_none(node: ast.AST) -> bool:
    return isinstance(node, ast.Constant) and node.value is None


def _children(node: ast.AST) -> Iterator[tuple[ast.AST, str, int | None]]:
    """Yield the places below `node` that do something: (owner, field, index or None)."""
    if isinstance(node, ast.Raise | ast.Import | ast.ImportFrom | ast.JoinedStr | ast.Assert):
        return
    if isinstance(node, ast.keyword) and node.arg == "strict":
        return
    if isinstance(node, ast.Assign) and getattr(node.targets[0], "id", "") == "__all__":
        return
    for field, value in ast.iter_fields(node):
        if field in {"annotation", "returns", "decorator_list", "ops", "op", "ctx", "format_spec"}:
            continue
        if isinstance(value, ast.AST):
            yield node, field, None
        elif isinstance(value, list):
            for index, child in enumerate(value):
                if isinstance(child, ast.AST) and not _is_docstring(child):
                    yield node, field, index


def _is_docstring(node: ast.AST) -> bool:
    return isinstance(node, ast.Expr) and isinstance(node.value, ast.Constant)


def _places(tree: ast.AST) -> Iterator[tuple[ast.AST, str, int | None]]:
    for owner, field, index in _children(tree):
        yield owner, field, index
        yield from _places(_at(owner, field, index))


def _at(owner: ast.AST, field: str, index: int | None) -> ast.AST:
    value = getattr(owner, field)
    child: ast.AST = value if index is None else value[index]
    return child


def mutants(source: str, path: str) -> Iterator[Mutant]:
    """Yield every mutant of a module's source; `path` names it in tracebacks."""
    tree = ast.parse(source)
    for owner, field, index in list(_places(tree)):
        node = _at(owner, field, index)
        for changed in changes(node):
            ast.copy_location(changed, node)
            _put(owner, field, index, changed)
            code = compile(ast.fix_missing_locations(copy.deepcopy(tree)), path, "exec")
            _put(owner, field, index, node)
            yield Mutant(getattr(node, "lineno", 0), f"{_shown(node)}  ->  {_shown(changed)}", code)


def _put(owner: ast.AST, field: str, index: int | None, node: ast.AST) -> None:
    if index is None:
        setattr(owner, field, node)
    else:
        getattr(owner, field)[index] = node


def _shown(node: ast.AST) -> str:
    text = ast.unparse(node).partition("\n")[0].strip()
    return text if len(text) <= 60 else f"{text[:57]}..."


class _Changed(MetaPathFinder, Loader):
    """Imports one module from code in place of its file."""

    def __init__(self, name: str, path: Path, code: CodeType) -> None:
        self._name, self._path, self._code = name, path, code

    def find_spec(self, name: str, path: object = None, target: object = None) -> ModuleSpec | None:
        if name != self._name:
            return None
        folder = [str(self._path.parent)] if self._path.name == "__init__.py" else None
        return importlib.util.spec_from_file_location(
            name, self._path, loader=self, submodule_search_locations=folder
        )

    def exec_module(self, module: ModuleType) -> None:
        exec(self._code, module.__dict__)


@dataclass(frozen=True)
class Subject:
    """A module and the tests that mirror it."""

    name: str

    @property
    def path(self) -> Path:
        """The module's file."""
        place = PACKAGE.joinpath(*self.name.split("."))
        return place / "__init__.py" if place.is_dir() else place.with_suffix(".py")

    @property
    def tests(self) -> Path:
        """The file of tests, `tests/ROOM/test_MODULE.py`."""
        *rooms, module = self.name.split(".")
        return ROOT.joinpath("tests", *rooms, f"test_{module}.py")

    def passes(self) -> bool:
        """Run the tests."""
        options = ["-x", "-qq", "-p", "no:warnings", "-p", "no:cacheprovider", f"--rootdir={ROOT}"]
        return pytest.main([*options, str(self.tests)]) == 0

    def start(self, code: CodeType) -> int:
        """Run the tests on `code` in a new process that ends with 0 if they pass; return its id."""
        child = os.fork()
        if child:
            return child
        silence = os.open(os.devnull, os.O_WRONLY)
        os.dup2(silence, 1)
        os.dup2(silence, 2)
        _forget_project()
        sys.meta_path.insert(0, _Changed(f"mergesearch.{self.name}", self.path, code))
        failed = True
        try:
            failed = not self.passes()
        finally:
            os._exit(int(failed))


def _forget_project() -> None:
    """Drop the project's modules, not those of others, so that they are imported again."""
    for name, module in list(sys.modules.items()):
        file = getattr(module, "__file__", None) or ""
        if file.endswith(".py") and Path(file).is_relative_to(ROOT) and "site-packages" not in file:
            del sys.modules[name]


def survivors(subject: Subject, workers: int) -> tuple[list[Mutant], int]:
    """Return the mutants that no test noticed, and how many mutants there are."""
    start = time.monotonic()
    if not subject.passes():  # also imports once, for all mutants, what others wrote
        raise SystemExit(f"{subject.tests} is missing or fails without a change")
    limit = PATIENCE * workers * (time.monotonic() - start)
    waiting = list(mutants(subject.path.read_text(encoding="utf-8"), str(subject.path)))
    total, alive = len(waiting), []
    running: dict[int, tuple[Mutant, float]] = {}
    while waiting or running:
        while waiting and len(running) < workers:
            mutant = waiting.pop()
            running[subject.start(mutant.code)] = mutant, time.monotonic() + limit
        time.sleep(0.005)
        for child, (mutant, deadline) in list(running.items()):
            done, status = os.waitpid(child, os.WNOHANG)
            if not done and time.monotonic() > deadline:
                os.kill(child, signal.SIGKILL)
                done, status = os.waitpid(child, 0)
            if done:
                del running[child]
                if status == 0:
                    alive.append(mutant)
    return sorted(alive, key=lambda mutant: mutant.line), total


def main(names: Sequence[str]) -> int:
    """Print the survivors of the modules; return 1 where tests notice too few mutants."""
    settings.register_profile(
        "mutants",
        derandomize=True,
        database=None,
        deadline=None,
        max_examples=25,
        phases=[Phase.explicit, Phase.generate],
    )
    settings.load_profile("mutants")
    workers = len(os.sched_getaffinity(0))
    noticed = made = 0
    for name in names or MODULES:
        subject = Subject(name)
        alive, total = survivors(subject, workers)
        noticed, made = noticed + total - len(alive), made + total
        print(f"{name}: {total - len(alive)} of {total} mutants noticed", flush=True)
        for mutant in alive:
            print(f"  {subject.path.name}:{mutant.line}: {mutant.change}", flush=True)
    print(f"{noticed} of {made} mutants noticed ({noticed / made:.1%}; wanted: {WANTED:.0%})")
    return int(noticed < WANTED * made)


if __name__ == "__main__":
    raise SystemExit(main(sys.argv[1:]))
