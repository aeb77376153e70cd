"""What a person sees of a run: pure functions of records and state, and the live view."""

from mergesearch.report.check import CheckReport, render_check
from mergesearch.report.items import flips, item_notes, render_flips
from mergesearch.report.json_log import json_events
from mergesearch.report.live import log_events, render_line, render_live, watch
from mergesearch.report.state import RunState
from mergesearch.report.status import Status, render_status
from mergesearch.report.tables import render_front, render_trial

__all__ = [
    "CheckReport",
    "RunState",
    "Status",
    "flips",
    "item_notes",
    "json_events",
    "log_events",
    "render_check",
    "render_flips",
    "render_front",
    "render_line",
    "render_live",
    "render_status",
    "render_trial",
    "watch",
]
