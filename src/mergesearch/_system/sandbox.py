"""Chat templates, rendered as transformers does, in a sandbox with limits.

A template is code from a file somebody downloaded. The sandbox lets it format messages and nothing
else; the limits end one that loops or grows for ever. Steps and sizes are counted, so that a
template ends after the same work on every machine; processor time is for what counting
does not see, the clock for a template that does not get any.
"""

from __future__ import annotations

import functools
import json
import re
import resource
import sys
import time
from collections.abc import Callable, Iterable, Iterator, Sized
from contextlib import contextmanager
from datetime import date
from pathlib import Path
from typing import Any, NoReturn

import jinja2
from jinja2 import nodes
from jinja2.ext import Extension, loopcontrols
from jinja2.sandbox import ImmutableSandboxedEnvironment

MAX_STEPS = 50_000
"""Turns of loops and calls of macros in one rendering."""
MAX_SIZE = 1 << 21
"""Characters of a text, items of a list, and numbers that a filter or function is given."""
MAX_SECONDS = 10.0
"""Seconds of processor time that one rendering may take."""
MAX_WAIT = 600.0
"""Seconds by the clock; a machine that has much else to do may need many for little work."""
MAX_MEMORY = 1 << 28
"""Bytes that reading or rendering a template may take."""
MAX_BITS = 4096
"""Bits of a whole number that is computed."""


class TemplateLimit(jinja2.TemplateError):
    """A template did not end, or made something too large."""


class Template:
    """A compiled template, set up as in transformers (utils/chat_template_utils.py).

    Blocks are trimmed; there are `break` and `continue`, `tojson`, `raise_exception`, the tag
    `generation`, and `strftime_now`, for which it is always the same day.

    Args:
        text: Jinja source.
        today: Date that `strftime_now` formats.

    Raises:
        jinja2.TemplateError: The source is not valid, or goes beyond a limit.
    """

    def __init__(self, text: str, today: date = date.min) -> None:
        self._environment = _Sandbox(today)
        with _little_memory():
            tree = self._environment.parse(text)
            _count_steps(tree)
            self._compiled = self._environment.from_string(tree)

    def render(self, **variables: Any) -> str:
        """Return the text that the variables give.

        Raises:
            jinja2.TemplateError: The template refuses the variables, or goes beyond a limit.
            Exception: Whatever else a template may raise.
        """
        self._environment.steps = 0
        self._environment.last_work = time.thread_time() + MAX_SECONDS
        self._environment.deadline = time.monotonic() + MAX_WAIT
        pieces: list[str] = []
        size = 0
        with _little_memory():
            for piece in self._compiled.generate(**variables):
                self._environment.step()
                size += len(piece)
                _check_size(size)
                pieces.append(piece)
        return "".join(pieces)


@contextmanager
def _little_memory() -> Iterator[None]:
    """Let what is counted too late, such as the text of a nested list, end in an error."""
    try:
        with limited_memory(MAX_MEMORY):
            yield
    except MemoryError:
        raise TemplateLimit(f"it takes more than {MAX_MEMORY >> 20} MiB") from None
    except RecursionError:
        raise TemplateLimit("it is nested too deeply") from None


@contextmanager
def limited_memory(more: int) -> Iterator[None]:
    """Let the process take so many bytes more, where Linux counts them; then MemoryError is raised.

    All threads share the limit, so that the others should be at rest.
    """
    if sys.platform != "linux":
        yield
        return
    pages = int(Path("/proc/self/statm").read_text(encoding="ascii").split()[0])
    soft, hard = resource.getrlimit(resource.RLIMIT_AS)
    limit = pages * resource.getpagesize() + more
    limit = min(bound for bound in (limit, soft, hard) if bound != resource.RLIM_INFINITY)
    resource.setrlimit(resource.RLIMIT_AS, (limit, hard))
    try:
        yield
    finally:
        resource.setrlimit(resource.RLIMIT_AS, (soft, hard))


class _Sandbox(ImmutableSandboxedEnvironment):
    intercepted_binops = frozenset(["+", "*", "**", "%"])

    def __init__(self, today: date) -> None:
        super().__init__(
            trim_blocks=True, lstrip_blocks=True, extensions=[loopcontrols, _Generation, _Limits]
        )
        self.steps = 0
        self.last_work = 0.0
        self.deadline = 0.0
        self.filters = {name: _limited(function) for name, function in self.filters.items()}
        self.filters["tojson"] = _to_json
        self.globals["raise_exception"] = _raise
        self.globals["strftime_now"] = today.strftime
        del self.globals["lipsum"]

    def step(self) -> bool:
        """Count a step; true, so that it may stand in a condition."""
        self.steps += 1
        if self.steps > MAX_STEPS:
            raise TemplateLimit(f"it does not end within {MAX_STEPS} steps")
        if time.thread_time() > self.last_work:
            raise TemplateLimit(f"it does not end within {MAX_SECONDS:g} s of processor time")
        if time.monotonic() > self.deadline:
            raise TemplateLimit(f"it does not end within {MAX_WAIT:g} s")
        return True

    def call_binop(self, context: Any, operator: str, left: Any, right: Any) -> Any:
        sizes = [len(value) if isinstance(value, Sized) else None for value in (left, right)]
        match operator, sizes:
            case "+", (int(), int()):
                _check_size(sum(size for size in sizes if size is not None))
            case "*", (int(size), None):
                _check_size(size * right)
            case "*", (None, int(size)):
                _check_size(size * left)
            case "*", (None, None):
                _check_bits(_bits(left) + _bits(right))
            case "**", _:
                _check_bits(_bits(left) * int(min(max(right, 0), MAX_BITS + 1)))
            case "%", (int(), _):
                _check_numbers([left])
        return super().call_binop(context, operator, left, right)

    def call(self, context: Any, function: Any, /, *arguments: Any, **options: Any) -> Any:
        _check_numbers([*arguments, *options.values()])
        return _of_limited_size(super().call(context, function, *arguments, **options))


class _Generation(Extension):
    """The tag that marks what an assistant wrote; it only matters for training."""

    tags = {"generation"}  # noqa: RUF012

    def parse(self, parser: Any) -> nodes.Node:
        line = next(parser.stream).lineno
        body = parser.parse_statements(("name:endgeneration",), drop_needle=True)
        return nodes.Scope(body).set_lineno(line)


class _Limits(Extension):
    """What compiled templates call at each step, and to join texts."""

    def step(self) -> bool:
        """Count a step of the rendering."""
        environment: Any = self.environment
        return bool(environment.step())

    def join(self, *values: Any) -> str:
        """Join texts."""
        texts = [str(value) for value in values]
        _check_size(sum(map(len, texts)))
        return "".join(texts)


def _count_steps(tree: nodes.Template) -> None:
    """Let each turn of a loop, and each call of a macro, count; let texts be joined by `join`."""
    loop: Any
    for loop in list(tree.find_all((nodes.For, nodes.Macro, nodes.CallBlock))):
        loop.body.insert(0, nodes.ExprStmt(_call("step")))
        if isinstance(loop, nodes.For) and loop.test is not None:
            loop.test = nodes.And(_call("step"), loop.test)
    _replace_concatenations(tree)


def _replace_concatenations(node: nodes.Node) -> None:
    for name, value in node.iter_fields():
        if isinstance(value, nodes.Node):
            setattr(node, name, _replaced(value))
        elif isinstance(value, list):
            value[:] = [_replaced(item) for item in value]


def _replaced(value: Any) -> Any:
    if not isinstance(value, nodes.Node):
        return value
    _replace_concatenations(value)
    return _call("join", value.nodes) if isinstance(value, nodes.Concat) else value


def _call(method: str, arguments: Iterable[nodes.Expr] = ()) -> nodes.Call:
    function = nodes.ExtensionAttribute(_Limits.identifier, method)
    return nodes.Call(function, list(arguments), [], None, None)


def _limited(function: Callable[..., Any]) -> Callable[..., Any]:
    @functools.wraps(function)
    def limited(*arguments: Any, **options: Any) -> Any:
        _check_numbers([*arguments, *options.values()])
        return _of_limited_size(function(*arguments, **options))

    return limited


def _of_limited_size(value: Any) -> Any:
    _check_size(len(value) if isinstance(value, Sized) else 0)
    return value


def _check_numbers(values: Iterable[Any]) -> None:
    """Refuse numbers, and widths in a format, that would make a text of that size."""
    for value in values:
        if isinstance(value, int):
            _check_size(abs(value))
        elif isinstance(value, str) and "%" in value:
            _check_size(
                max((int(width) for width in re.findall(r"%[-+ #0]*(\d+)", value)), default=0)
            )


def _check_size(size: int) -> None:
    if size > MAX_SIZE:
        raise TemplateLimit(f"it makes something larger than {MAX_SIZE}")


def _bits(value: Any) -> int:
    return value.bit_length() if isinstance(value, int) else 0


def _check_bits(bits: int) -> None:
    if bits > MAX_BITS:
        raise TemplateLimit(f"it computes a number of more than {MAX_BITS} bits")


def _to_json(
    value: Any,
    ensure_ascii: bool = False,
    indent: int | None = None,
    separators: tuple[str, str] | None = None,
    sort_keys: bool = False,
) -> str:
    return json.dumps(
        value, ensure_ascii=ensure_ascii, indent=indent, separators=separators, sort_keys=sort_keys
    )


def _raise(message: str) -> NoReturn:
    raise jinja2.TemplateError(message)
