"""The sandbox of templates: what loops or grows for ever ends, soon and with little memory."""

from __future__ import annotations

import datetime as dt
import mmap
import resource
import sys
import time

import jinja2
import pytest

from mergesearch._system import sandbox
from mergesearch._system.sandbox import Template, TemplateLimit, limited_memory

DAY = dt.date(2024, 7, 26)
GROWING = "{% set x = namespace(a='x' * 999, b=['x']) %}{% for i in range(99) %}ONE{% endfor %}"


def render(text: str, **variables: object) -> str:
    return Template(text, DAY).render(**variables)


@pytest.mark.long
@pytest.mark.parametrize(
    "text",
    [
        "{% for a in range(9999) %}{% for b in range(9999) %}{% endfor %}{% endfor %}",
        "{% for a in range(9999) %}{% for b in range(9999) if false %}{% endfor %}{% endfor %}",
        "{% macro f() %}{% for a in range(99) %}{% endfor %}{% endmacro %}"
        "{% for a in range(999) %}{{ f() }}{% endfor %}",
        "{% for a in [1] recursive %}{{ loop([1, 1]) if loop.depth < 99 }}{% endfor %}",
    ],
)
def test_endless_loops_end_after_so_many_steps(text: str) -> None:
    start = time.process_time()
    with pytest.raises((TemplateLimit, RecursionError)):
        render(text)
    assert time.process_time() - start < 5


@pytest.mark.parametrize(
    "text",
    [
        "{{ 'x' * 99999999 }}",
        "{{ 99999999 * 'x' }}",
        "{{ [1] * 99999999 }}",
        "{{ 'x' | indent(99999999) }}",
        "{{ 'x' | center(99999999) }}",
        "{{ 'x'.ljust(99999999) }}",
        "{{ '%99999999d' % 1 }}",
        "{{ '%-99999999d' | format(1) }}",
        GROWING.replace("ONE", "{% set x.a = x.a + x.a %}"),
        GROWING.replace("ONE", "{% set x.a = x.a ~ x.a ~ '' %}"),
        GROWING.replace("ONE", "{% set x.b = x.b + x.b %}"),
        GROWING.replace("ONE", "{% set x.a = x.a.replace('x', 'xxxxxx') %}"),
        GROWING.replace("ONE", "{% set x.a = x.a | replace('x', 'xxxxxx') %}"),
        GROWING.replace("ONE", "{{ 'x' * 99999 }}"),
    ],
)
def test_what_grows_too_large_is_an_error(text: str) -> None:
    with pytest.raises(TemplateLimit, match="larger than"):
        render(text)


@pytest.mark.parametrize(
    "text",
    [
        "{{ '{:>1000000000}'.format(1) }}",
        "{{ ('{:>2000000}' * 999).format(*range(999)) }}",
        "{{ '%*d' % (1000000000, 1) }}",
        "{{ ('x' * 999999).join(['y'] * 999999) }}",
        "{{ ('x' * 999999).replace('x', 'y' * 999999) }}",
        pytest.param(
            "{% set a = ['x' * 9999] * 9999 %}{% set b = [a] * 9999 %}{{ b }}",
            marks=pytest.mark.long,
        ),
        pytest.param(
            "{% set a = ['x' * 9999] * 9999 %}{{ ([a] * 9999) | tojson }}",
            marks=pytest.mark.long,
        ),
        pytest.param(
            "{% set a = ['x' * 9999] * 9999 %}{{ a ~ ([a] * 9999) }}",
            marks=pytest.mark.long,
        ),
        "{% if " * 200 + "x",
        "{{ " + "(" * 9999 + ")" * 9999 + " }}",
        "{{ " + "[" * 90000 + "]" * 90000 + " }}",
    ],
)
def test_what_is_counted_too_late_takes_little_memory_and_time(text: str) -> None:
    start, before = time.process_time(), resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    with pytest.raises(jinja2.TemplateError):
        render(text)
    assert time.process_time() - start < 5
    assert resource.getrusage(resource.RUSAGE_SELF).ru_maxrss - before < 500_000
    assert resource.getrlimit(resource.RLIMIT_AS)[0] == resource.RLIM_INFINITY


@pytest.mark.parametrize(
    "text",
    [
        "{{ 10 ** 9999 }}",
        "{{ 9 ** 9 ** 9 ** 9 ** 9 }}",
        "{% set x = namespace(a=3) %}{% for i in range(99) %}{% set x.a = x.a * x.a %}{% endfor %}",
    ],
)
def test_numbers_do_not_grow_for_ever(text: str) -> None:
    with pytest.raises(TemplateLimit, match="more than 4096 bits"):
        render(text)


def test_the_time_of_the_processor_ends_what_counting_does_not_see(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(sandbox, "MAX_SECONDS", 0.2)
    with pytest.raises(TemplateLimit, match=r"0\.2 s of processor time"):
        render("{% for a in range(9999) %}{{ range(9999) | list | length }}{% endfor %}")


def test_a_machine_with_much_else_to_do_ends_no_template_soon(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """A template that gets no processor takes none; the clock alone ends it after minutes."""
    template = Template("{% for a in range(9) %}{{ wait() }}{% endfor %}", DAY)
    monkeypatch.setattr(sandbox, "MAX_SECONDS", 0.05)
    assert template.render(wait=lambda: time.sleep(0.02) or "") == ""
    monkeypatch.setattr(sandbox, "MAX_WAIT", 0.05)
    with pytest.raises(TemplateLimit, match=r"within 0\.05 s$"):
        template.render(wait=lambda: time.sleep(0.02) or "")


def test_a_template_has_its_steps_anew_each_time(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(sandbox, "MAX_STEPS", 1000)
    template = Template("{% for a in range(n) %}{% endfor %}", DAY)
    for _ in range(3):
        assert template.render(n=sandbox.MAX_STEPS // 2) == ""


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("{{ 1 + 2 }}{{ 2 * 'ab' }}{{ 2 ** 5 }}{{ 7 % 4 }}{{ '%d%%' % 9 }}", "3abab3239%"),
        ("{{ 'a' ~ 1 ~ none }}{{ ('a' ~ 'b') | upper }}", "a1NoneAB"),
        ("{% set x = 'a' ~ 'b' %}{{ [x ~ 'c'][0] }}{{ {'k': 'v' ~ 1}['k'] }}", "abcv1"),
        ("{% generation %}a{% endgeneration %}b", "ab"),
        ("{% for a in [1, 2, 3] if a != 2 %}{{ loop.index }}{{ a }}{% endfor %}", "1123"),
        ("{% for a in [] %}x{% else %}none{% endfor %}", "none"),
        (
            "{% macro f(a) %}<{{ a }}>{{ caller() }}{% endmacro %}{% call f(1) %}y{% endcall %}",
            "<1>y",
        ),
        ("{{ {'a': [1, 'é<']} | tojson }}", '{"a": [1, "é<"]}'),
        ("{{ strftime_now('%d %b %Y') }}", "26 Jul 2024"),
    ],
)
def test_what_templates_do_is_as_in_jinja(text: str, expected: str) -> None:
    assert render(text) == expected


def test_attributes_of_python_are_out_of_reach() -> None:
    with pytest.raises(jinja2.exceptions.SecurityError):
        render("{{ x.__class__.__mro__ }}", x="")
    with pytest.raises(jinja2.UndefinedError):
        render("{{ lipsum(9) }}")
    with pytest.raises(jinja2.TemplateError, match="no"):
        render("{{ raise_exception('no') }}")


@pytest.mark.skipif(sys.platform != "linux", reason="Linux alone counts the bytes")
def test_a_process_gets_so_much_more_and_no_more() -> None:
    before = resource.getrlimit(resource.RLIMIT_AS)
    with limited_memory(64 * 2**20):
        mmap.mmap(-1, 2**20).close()
        with pytest.raises(OSError, match="Cannot allocate memory"):
            mmap.mmap(-1, 256 * 2**20)
    assert resource.getrlimit(resource.RLIMIT_AS) == before
    mmap.mmap(-1, 256 * 2**20).close()
