"""`search dashboard`: a run in Optuna's own dashboard."""

from __future__ import annotations

from typing import Annotated
from wsgiref.simple_server import WSGIRequestHandler, make_server

import typer

from mergesearch._system.terminal import say
from mergesearch.cli.options import Folder
from mergesearch.runs.run import Run
from mergesearch.study.dashboard import dashboard_of


def command(
    folder: Folder,
    port: Annotated[
        int,
        typer.Option(
            metavar="N", min=0, max=65535, help="Port on this machine; 0 takes any that is free."
        ),
    ] = 8080,
) -> None:
    """Show a run in Optuna's dashboard.

    It is served on this machine only, until Ctrl-C, also while the run is still at work. Needs the
    package optuna-dashboard.

    Example: search dashboard results/demo
    """
    run = Run(folder)
    application = dashboard_of(run.folder.study.database)
    with make_server("127.0.0.1", port, application, handler_class=_Quiet) as server:
        say(f"http://127.0.0.1:{server.server_port}/dashboard (Ctrl-C ends it)")
        server.serve_forever()


class _Quiet(WSGIRequestHandler):
    """Writes no line for each request."""

    def log_message(self, format: str, *args: object) -> None:
        """Write nothing."""
