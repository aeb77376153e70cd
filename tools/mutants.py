"""Mutation testing of the pure modules: a test has to fail for each small change of the code.

    python -m tools.mutants [MODULE ...]      for example: python -m tools.mutants study.pareto

Every comparison, operator, constant, condition and returned value of a module is changed, one at a
time, and the tests that mirror the module run on the result: `tests/study/test_pareto.py` for
`study.pareto`, as far as `make quick` runs it. A change that no test notices is a survivor, and is
printed. Left alone is what says something rather than does it: messages of errors, docstrings,
annotations, decorators.

Tests run in forked processes, shortest first, until one fails. A change inside a function replaces
the function's code there; where that is not noticed, or for a change of a table or a default, all
modules are imported anew. Nothing is written to disk.
"""

from __future__ import annotations

import ast
import gc
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
from types import CodeType, FunctionType, ModuleType

import pytest
from hypothesis import Phase, settings

import mergesearch

ROOT = Path(__file__).resolve().parents[1]
PACKAGE = Path(mergesearch.__file__ or "").parent

# Modules that decide something by what they are given alone.
MODULES = (
    "methods.shares",
    "objectives.items",
    "objectives.paired",
    "objectives.scores",
    "quantize.mix",
    "recipe.shares",
    "recipe.values",
    "recipe.without_effect",
    "scoring.aggregate",
    "scoring.answers",
    "space.cuts",
    "space.matching",
    "space.relevance",
    "space.starts",
    "space.ties",
    "study.bayesian.geometry",
    "study.bayesian.improvement",
    "study.choosing",
    "study.confirming",
    "study.estimation.estimates",
    "study.estimation.means",
    "study.front",
    "study.pareto",
    "study.proxies",
    "study.racing",
    "study.samplers.prior",
    "study.samplers.problem",
    "study.samplers.sobol",
    "study.standing",
    "study.stopping",
    "tasks.checks",
    "tasks.needle",
)
WANTED = 0.9  # share of a module's mutants that tests have to notice
PROFILE = "mutants"  # of hypothesis
PATIENCE = 5.0  # a test that takes so many times what it takes without a change hangs
STUCK = 900  # seconds after which a process that tries a mutant waits for something

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
    """A module with one change.

    Attributes:
        line: Line of the change.
        change: What was there, and what is there now.
        code: Code of the changed module.
        inside: Whether the change is inside of a function.
    """

    line: int
    change: str
    code: CodeType
    inside: bool


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


@dataclass(frozen=True)
class Place:
    """Where a node is: a field of its owner, an index in it where it is a list."""

    owner: ast.AST
    field: str
    index: int | None
    inside: bool

    def node(self) -> ast.AST:
        """Return the node that is there."""
        value = getattr(self.owner, self.field)
        node: ast.AST = value if self.index is None else value[self.index]
        return node

    def put(self, node: ast.AST) -> None:
        """Put another node there."""
        if self.index is None:
            setattr(self.owner, self.field, node)
        else:
            getattr(self.owner, self.field)[self.index] = node


def _places(node: ast.AST, inside: bool = False) -> Iterator[Place]:
    """Yield the places below a node that do something."""
    if isinstance(node, ast.Raise | ast.Import | ast.ImportFrom | ast.JoinedStr | ast.Assert):
        return
    if isinstance(node, ast.keyword) and node.arg == "strict":
        return
    if isinstance(node, ast.Assign) and getattr(node.targets[0], "id", "") == "__all__":
        return
    for field, value in ast.iter_fields(node):
        if field in {"annotation", "returns", "decorator_list", "ops", "op", "ctx", "format_spec"}:
            continue
        within = inside or (field == "body" and isinstance(node, ast.FunctionDef | ast.Lambda))
        several = value if isinstance(value, list) else [value]
        for index, child in enumerate(several):
            if isinstance(child, ast.AST) and not _is_docstring(child):
                yield Place(node, field, index if isinstance(value, list) else None, within)
                yield from _places(child, within)


def _is_docstring(node: ast.AST) -> bool:
    return isinstance(node, ast.Expr) and isinstance(node.value, ast.Constant)


def mutants(source: str, path: str) -> Iterator[Mutant]:
    """Yield every mutant of a module's source; `path` names it in tracebacks."""
    tree = ast.parse(source)
    for place in list(_places(tree)):
        node = place.node()
        for changed in changes(node):
            ast.copy_location(changed, node)
            place.put(changed)
            code = compile(ast.fix_missing_locations(tree), path, "exec")
            place.put(node)
            change = f"{_shown(node)}  ->  {_shown(changed)}"
            yield Mutant(getattr(node, "lineno", 0), change, code, place.inside)


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


CodeKey = tuple[str, int]


def _codes(code: CodeType) -> Iterator[tuple[CodeKey, CodeType]]:
    """Yield the code of every function in a module, by its name and first line."""
    for constant in code.co_consts:
        if isinstance(constant, CodeType):
            yield (constant.co_qualname, constant.co_firstlineno), constant
            yield from _codes(constant)


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

    def run(self, *plugins: object) -> int:
        """Run the tests; return pytest's exit code."""
        options = ["-x", "-qq", "-p", "no:warnings", "-p", "no:cacheprovider", f"--rootdir={ROOT}"]
        options += ["--quick", "--hypothesis-profile", PROFILE]
        return int(pytest.main([*options, str(self.tests)], plugins=plugins))

    def functions(self) -> list[FunctionType]:
        """Return the functions that the module has made, wherever they are kept."""
        return [
            found
            for found in gc.get_objects()
            if type(found) is FunctionType and found.__code__.co_filename == str(self.path)
        ]


class Known:
    """A plugin of pytest for tests whose times are known: the shortest first, and none for long.

    Attributes:
        times: Seconds of processor time that each test takes, by its id.
    """

    def __init__(self, times: dict[str, float]) -> None:
        self.times = times

    @pytest.hookimpl(trylast=True)
    def pytest_collection_modifyitems(self, items: list[pytest.Item]) -> None:
        """Order the tests that are left."""
        items.sort(key=lambda item: self.times.get(item.nodeid, 0.0))

    @pytest.hookimpl(tryfirst=True)
    def pytest_runtest_setup(self, item: pytest.Item) -> None:
        """Let the process end by itself if a test hangs."""
        seconds = self.times.get(item.nodeid)
        limit = 0.0 if seconds is None else PATIENCE * (1.0 + seconds)
        signal.setitimer(signal.ITIMER_PROF, limit)


class Trials(Known):
    """A plugin of pytest: in the place of one run of the tests, one for each mutant.

    Attributes:
        alive: Mutants that no test noticed.
        total: Number of mutants.
    """

    def __init__(self, subject: Subject) -> None:
        super().__init__({})
        self.subject = subject
        self.alive: list[Mutant] = []
        self.total = 0
        self._failed = False
        self._functions: list[FunctionType] = []
        self._items: list[pytest.Item] = []

    @pytest.hookimpl(tryfirst=True)
    def pytest_runtestloop(self, session: pytest.Session) -> bool:
        """Run the tests once as they are, then on each mutant."""
        for item in session.items:
            before = time.process_time()
            if not self._passes([item]):
                raise session.Failed(f"{item.nodeid} fails without a change")
            self.times[item.nodeid] = time.process_time() - before
        self._items = sorted(session.items, key=lambda item: self.times[item.nodeid])
        self._functions = self.subject.functions()
        self._try_all()
        return True

    def pytest_runtest_logreport(self, report: pytest.TestReport) -> None:
        """Take note of a failure."""
        self._failed |= report.failed

    def _passes(self, items: Sequence[pytest.Item]) -> bool:
        self._failed = False
        for item in items:
            item.config.hook.pytest_runtest_protocol(item=item, nextitem=None)
            if self._failed:
                return False
        return True

    def _try_all(self) -> None:
        source = self.subject.path.read_text(encoding="utf-8")
        running: dict[int, Mutant] = {}
        for mutant in mutants(source, str(self.subject.path)):
            self.total += 1
            if len(running) == len(os.sched_getaffinity(0)):
                self._wait_for_one_of(running)
            running[self._start(mutant)] = mutant
        while running:
            self._wait_for_one_of(running)
        self.alive.sort(key=lambda mutant: mutant.line)

    def _wait_for_one_of(self, running: dict[int, Mutant]) -> None:
        """Wait until a process ends, and take note of a mutant that is alive."""
        mutant = None
        while mutant is None:  # tests may have left processes of their own
            child, status = os.wait()
            mutant = running.pop(child, None)
        if status == 0:
            self.alive.append(mutant)

    def _start(self, mutant: Mutant) -> int:
        """Start a process that ends with 0 if the tests pass on a mutant; return its id."""
        child = os.fork()
        if child:
            return child
        signal.alarm(STUCK)
        passed = False
        try:
            noticed = mutant.inside and not self._passes_inside(mutant)
            passed = not noticed and self._passes_anew(mutant)
        finally:
            os._exit(int(not passed))

    def _passes_inside(self, mutant: Mutant) -> bool:
        """Whether the tests pass with the code of functions replaced."""
        _say_nothing()
        self._items[0].config.pluginmanager.unregister(name="terminalreporter")
        codes = dict(_codes(mutant.code))
        for function in self._functions:
            key = function.__code__.co_qualname, function.__code__.co_firstlineno
            function.__code__ = codes[key]
        return self._passes(self._items)

    def _passes_anew(self, mutant: Mutant) -> bool:
        """Whether the tests pass where all of the project is imported anew."""
        _say_nothing()
        signal.setitimer(signal.ITIMER_PROF, 0.0)
        for name, module in list(sys.modules.items()):
            file = getattr(module, "__file__", None) or ""
            ours = file.endswith(".py") and Path(file).is_relative_to(ROOT)
            if ours and "site-packages" not in file:
                del sys.modules[name]
        name = f"mergesearch.{self.subject.name}"
        sys.meta_path.insert(0, _Changed(name, self.subject.path, mutant.code))
        return self.subject.run(Known(self.times)) == 0


def _say_nothing() -> None:
    silence = os.open(os.devnull, os.O_WRONLY)
    os.dup2(silence, 1)
    os.dup2(silence, 2)


def survivors(subject: Subject) -> tuple[list[Mutant], int]:
    """Return the mutants that no test noticed, and how many mutants there are."""
    trials = Trials(subject)
    if subject.run(trials) not in (0, 5) or not trials.total:
        raise SystemExit(f"{subject.tests} is missing or fails without a change")
    return trials.alive, trials.total


def main(names: Sequence[str]) -> int:
    """Print the survivors of modules; return 1 where tests notice too few of a module's mutants."""
    settings.register_profile(
        PROFILE,
        derandomize=True,
        database=None,
        deadline=None,
        max_examples=25,
        phases=[Phase.explicit, Phase.generate],
    )
    too_few: list[str] = []
    for name in names or MODULES:
        subject, started = Subject(name), time.monotonic()
        alive, total = survivors(subject)
        noticed = total - len(alive)
        seconds = time.monotonic() - started
        print(f"{name}: {noticed} of {total} mutants noticed, {seconds:.0f} s", flush=True)
        for mutant in alive:
            print(f"  {subject.path.name}:{mutant.line}: {mutant.change}", flush=True)
        if noticed < WANTED * total:
            too_few.append(name)
    print(f"noticed less than {WANTED:.0%}: {', '.join(too_few) or 'none'}")
    return int(bool(too_few))


if __name__ == "__main__":
    raise SystemExit(main(sys.argv[1:]))
