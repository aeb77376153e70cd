"""What a person sees of a run: pure functions of records and state, and the live view."""

from mergesearch.report.check import CheckReport, render_check
from mergesearch.report.items import Gain, cut_note, gains, render_gains
from mergesearch.report.live import log_events, render_line, render_live, watch
from mergesearch.report.state import RunState
from mergesearch.report.tables import render_front, render_status, render_trial

__all__ = [
    "CheckReport",
    "Gain",
    "RunState",
    "cut_note",
    "gains",
    "log_events",
    "render_check",
    "render_front",
    "render_gains",
    "render_line",
    "render_live",
    "render_status",
    "render_trial",
    "watch",
]
