"""The page as one HTML file: its text, styles and script, and the data as JSON beside them."""

from __future__ import annotations

import base64
import hashlib
import html
import json
from importlib.resources import files

from mergesearch.report.page.model import Page

_SCRIPTS = ("dom.js", "charts.js", "front.js", "comparison.js", "sections.js", "page.js")


def render_page(page: Page) -> str:
    """Return the page, which opens from a disk and loads nothing.

    The only script that a browser runs in it is ours, by its digest; the data are JSON in which no
    tag can end, and the script shows every string as text.
    """
    script = "\n".join(_asset(name) for name in _SCRIPTS)
    parts = {
        "{{digest}}": base64.b64encode(hashlib.sha256(script.encode()).digest()).decode(),
        "{{title}}": html.escape(page.name),
        "{{styles}}": _asset("page.css"),
        "{{data}}": _json(page),
        "{{script}}": script,
    }
    before, after = "", _asset("page.html")
    for mark, part in parts.items():  # in the template's order, so that no part is searched
        start, _, after = after.partition(mark)
        before += start + part
    return before + after


def _json(page: Page) -> str:
    """The page's data as JSON without `<`, `>` and `&`."""
    text = json.dumps(
        vars(page), ensure_ascii=False, separators=(",", ":"), allow_nan=False, default=vars
    )
    for sign in "<>&":
        text = text.replace(sign, f"\\u{ord(sign):04x}")
    return text


def _asset(name: str) -> str:
    return files(__package__).joinpath("assets", name).read_text(encoding="utf-8")
