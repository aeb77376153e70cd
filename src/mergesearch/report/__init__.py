"""What a person sees of a run: pure functions of records and state, and the live view."""

from mergesearch.report.check import render_check
from mergesearch.report.items import Gain, gains, render_gains
from mergesearch.report.live import render_line, render_live, watch
from mergesearch.report.state import RunState
from mergesearch.report.tables import render_front, render_status, render_trial

__all__ = [
    "Gain",
    "RunState",
    "gains",
    "render_check",
    "render_front",
    "render_gains",
    "render_line",
    "render_live",
    "render_status",
    "render_trial",
    "watch",
]
