"""What a scoring process answers; the process itself is in `child`."""

from __future__ import annotations

import sys
import traceback
from collections.abc import Mapping
from contextlib import suppress
from multiprocessing.connection import Connection
from pathlib import Path
from typing import TYPE_CHECKING, Any

from mergesearch.objectives import Items, Objectives, References, Rung, Runtime, TaskResult
from mergesearch.scoring.partial import PartialScores
from mergesearch.scoring.protocol import Loaded, failure
from mergesearch.scoring.rehearsal import Rehearsal
from mergesearch.scoring.texts import Texts, texts_of

if TYPE_CHECKING:  # they load llama.cpp and lm-eval, which wait for `load`
    from mergesearch.scoring.engine import Engine
    from mergesearch.scoring.scorer import Scorer


class Server:
    """What a run may ask of its scoring process, one call after the other; `load` comes first."""

    _scorer: Scorer
    _runtime: Runtime
    _partial: Path | None

    def __init__(self, connection: Connection) -> None:
        self._connection = connection
        self._chunks: PartialScores | None = None  # of the candidate that was scored last

    def serve(self) -> None:
        """Answer until the run closes its end, or is gone."""
        with suppress(EOFError, BrokenPipeError, ConnectionResetError):
            while True:
                self._connection.send(self._answer(*self._connection.recv()))

    def _answer(self, method: str, arguments: tuple[Any, ...], options: Mapping[str, Any]) -> Any:
        try:
            return getattr(self, method)(*arguments, **options)
        except (BrokenPipeError, ConnectionResetError):
            raise
        except Exception as error:  # every failure of one candidate is a message, not an exit
            traceback.print_exc()
            return failure(error)
        finally:
            sys.stderr.flush()

    def load(self, objectives: Objectives, *, trust_tasks: bool, partial: Path | None) -> Loaded:
        """Load the tasks of an objectives file.

        Args:
            trust_tasks: Whether task files may run code of their own.
            partial: Folder for finished chunks; None: they are not kept.
        """
        self._runtime, self._partial = objectives.runtime, partial
        self._scorer = _load(objectives, trust_tasks)
        questionnaire = self._scorer.questionnaire
        return Loaded(
            order={rung: questionnaire.order(rung) for rung in Rung},
            means={name: task.means() for name, task in questionnaire.tasks.items()},
        )

    def use_references(self, answers: References) -> None:
        """Take the specialists' correct answers, which proxies are made of."""
        self._scorer.questionnaire.use_references(answers)

    def score(
        self, path: Path, digest: str, rung: Rung, items: Items | None
    ) -> dict[str, TaskResult]:
        """Score a candidate on a rung; return its results by task.

        Args:
            path: Path that opens the candidate.
            digest: SHA-256 (hex) of the candidate, by which its finished chunks are kept.
            rung: Rung whose items are scored.
            items: Items of the rung to score; None: all of them.
        """
        with self._opened(path) as engine:
            return self._scorer.score(
                engine,
                rung,
                items,
                on_progress=self._connection.send,
                partial=self._partial_scores(digest),
            )

    def rehearse(self, path: Path, *, to_the_end: bool) -> Rehearsal:
        """Measure on a few requests how fast a candidate is scored; see `Scorer.rehearse`."""
        with self._opened(path) as engine:
            return self._scorer.rehearse(engine, to_the_end=to_the_end)

    def item_texts(self, items: Items) -> Texts:
        """Return what items ask, for people."""
        return texts_of(self._scorer.questionnaire.tasks, items)

    def _opened(self, path: Path) -> Engine:
        from mergesearch.scoring.engine import Engine

        return Engine(path, self._runtime)

    def _partial_scores(self, digest: str) -> PartialScores | None:
        if self._partial is None:
            return None
        chunks = PartialScores(self._partial, digest, self._scorer.fingerprint)
        if self._chunks is not None:
            self._chunks.give_way_to(chunks)
        self._chunks = chunks
        return chunks


def _load(objectives: Objectives, trust_tasks: bool) -> Scorer:
    from mergesearch.scoring.harness import environment

    environment.prepare()  # before anything loads llama.cpp or lm-eval
    from mergesearch.scoring.engine import log_to
    from mergesearch.scoring.scorer import Scorer

    log_to(lambda line: print(line, end="", file=sys.stderr))
    return Scorer(objectives, trust_tasks=trust_tasks)
