"""The report of a run for a browser: one file that needs nothing else."""

from mergesearch.report.page.facts import page_of
from mergesearch.report.page.html import render_page
from mergesearch.report.page.items import ItemSheet
from mergesearch.report.page.model import Page

__all__ = ["ItemSheet", "Page", "page_of", "render_page"]
