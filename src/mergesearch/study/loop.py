"""The loop of a run: propose, build, score, record, until a stop rule says so; then validate.

The ledger is written before Optuna's study is told, each in one transaction. So a process that is
killed at any point leaves one of: a trial that was proposed (its parameters are stored whole; it is
done again under its number), or one that is in the ledger and not yet told (it is told at the next
start).
"""

import hashlib
import json
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from functools import partial
from itertools import zip_longest
from pathlib import Path
from typing import Any

import optuna
from optuna.trial import FrozenTrial, TrialState

from mergesearch._system.files import write_json
from mergesearch.errors import (
    Interrupted,
    MergeSearchError,
    ObjectivesError,
    RunFolderError,
)
from mergesearch.objectives import Rung
from mergesearch.recipe import Recipe
from mergesearch.study.building import Builder
from mergesearch.study.events import (
    Event,
    ParentMeasured,
    RunFinished,
    RunStarted,
    StageStarted,
    TrialFinished,
    Validated,
    ValidationStarted,
)
from mergesearch.study.front import Front
from mergesearch.study.ledger import (
    COMPLETE,
    DATABASE,
    RUN_NAME,
    Axis,
    Ledger,
    Measurement,
    Reference,
    RunRecord,
    TrialRecord,
    database_url,
)
from mergesearch.study.lock import run_lock
from mergesearch.study.measuring import Measuring
from mergesearch.study.proxies import (
    by_task,
    candidates,
    correct_answers,
    specialists,
)
from mergesearch.study.samplers import (
    Problem,
    Proposal,
    check_sampler,
    default_sampler,
    distributions,
    lagged,
    propose,
)
from mergesearch.study.settings import Search, StudySettings, package_versions
from mergesearch.study.stopping import SignalGuard, StopRule

FRONT_NAME = "front.json"
"""Name of the front in a run folder."""


def run_study(
    folder: Path,
    search: Search,
    settings: StudySettings,
    observe: Callable[[Event], None] = lambda event: None,
) -> Front:
    """Run a search in `folder`, or go on with the one in it, and return its front.

    The front is also written to `front.json` in the folder.

    Raises:
        RunFolderError: another run is at work in the folder, or it belongs to another search.
        InputError: an unknown sampler.
        Interrupted: someone stopped it; the same call goes on with it.
        MergeSearchError: too many trials in a row failed.
    """
    folder.mkdir(parents=True, exist_ok=True)
    with run_lock(folder), SignalGuard() as guard, Ledger.create(folder) as ledger:
        run = _begin_run(ledger, search, settings, folder)
        with _opened_study(folder, run) as study, Builder(search.build) as builder:
            measuring = Measuring(search, builder, run.axes, ledger, guard, observe)
            return _Run(
                folder, search, settings, ledger, run, study, guard, observe, measuring
            ).go()


def check_run_folder(folder: Path, search: Search, settings: StudySettings) -> None:
    """Refuse a folder that holds the run of another search; writes nothing.

    `run_study` checks the same. This is for whoever wants to write beside it before it starts.

    Raises:
        RunFolderError: the folder's run is another search's.
        InputError: an unknown sampler.
    """
    if not (folder / DATABASE).is_file():
        _describe(search, settings, None)
        return
    try:
        ledger = Ledger.open(folder)
    except RunFolderError:
        return  # made, but stopped before the run was recorded: `run_study` makes it whole
    with ledger:
        _check_same(ledger.run(), _describe(search, settings, ledger.run()), folder)


def _begin_run(ledger: Ledger, search: Search, settings: StudySettings, folder: Path) -> RunRecord:
    """Record the run, or check that the one on record is the same search."""
    before = ledger.run() if ledger.has_run() else None
    run = _describe(search, settings, before)
    if before is None:
        ledger.begin_run(run)
        return run
    _check_same(before, run, folder)
    return before


def _check_same(before: RunRecord, run: RunRecord, folder: Path) -> None:
    theirs = {**before.fingerprints, "seed": str(before.seed), "sampler": before.sampler}
    ours = {**run.fingerprints, "seed": str(run.seed), "sampler": run.sampler}
    for name in dict.fromkeys([*theirs, *ours]):  # what was written first explains the rest
        if theirs.get(name) != ours.get(name):
            told = name in ("seed", "sampler", "scoring")  # others are digests
            raise RunFolderError(
                f"its run was begun with different {name}",
                where=folder,
                expected=f"{theirs.get(name)}, not {ours.get(name)}" if told else None,
                fix="name another --out, or go on with the inputs that the run began with",
            )


def _describe(search: Search, settings: StudySettings, before: RunRecord | None) -> RunRecord:
    objectives = search.objectives
    seed, sampler = settings.seed, settings.sampler
    if seed is None:
        seed = before.seed if before else 0
    if sampler is None:
        sampler = before.sampler if before else default_sampler(len(search.space.dimensions))
    return RunRecord(
        space=search.space_text,
        objectives=objectives.to_dict(),
        axes=tuple(
            Axis(o.name, o.direction, o.reference, o.proxy is not None)
            for o in objectives.objectives
        ),
        fingerprints={
            "space": _digest(search.space.to_dict()),
            "objectives": objectives.fingerprint(),
            **search.fingerprints,
        },
        versions=package_versions(),
        seed=seed,
        sampler=check_sampler(sampler),
    )


def _digest(document: Mapping[str, Any]) -> str:
    return hashlib.sha256(json.dumps(document, sort_keys=True).encode()).hexdigest()


@contextmanager
def _opened_study(folder: Path, run: RunRecord) -> Iterator[optuna.Study]:
    """Optuna's side of the database: only what was proposed and told; `propose` proposes."""
    optuna.logging.set_verbosity(optuna.logging.ERROR)
    storage = optuna.storages.RDBStorage(
        database_url(folder), engine_kwargs={"connect_args": {"timeout": 60.0}}
    )
    try:
        yield optuna.create_study(
            study_name=RUN_NAME,
            storage=storage,
            sampler=optuna.samplers.RandomSampler(seed=run.seed),
            directions=[axis.direction for axis in run.axes],
            load_if_exists=True,
        )
    finally:
        storage.remove_session()
        storage.engine.dispose()


@dataclass
class _Run:
    """One start of a run: its parts, and what it does with them."""

    folder: Path
    search: Search
    settings: StudySettings
    ledger: Ledger
    run: RunRecord
    study: optuna.Study
    guard: SignalGuard
    observe: Callable[[Event], None]
    measuring: Measuring
    proposed: tuple[int, Proposal] | None = None  # the latest, by its trial's number

    def go(self) -> Front:
        """Search until the stop rule says so, validate, and write the front."""
        rule = StopRule.of(self.settings, time.time())
        self._tell_finished()
        self.observe(RunStarted(self.run.axes, rule, self.run.sampler, self.ledger.trials()))
        self._prepare_proxies()
        reason = self._search(rule)
        if self.settings.validate:
            self._validate(reason)
        front = Front.of(self.run.axes, self.ledger.trials())
        write_json(self.folder / FRONT_NAME, front.to_dict())
        self.observe(RunFinished(front))
        return front

    @property
    def _first_rung(self) -> Rung:
        return self.search.objectives.first_rung

    def _prepare_proxies(self) -> None:
        """Let the specialists answer their sides' search items, once in a search."""
        if self._first_rung != Rung.PROXY:
            return
        references = self.ledger.references()
        if not references:
            references = self._specialists_answers()
            self.ledger.record_references(references)
        self.search.use_references(by_task(references))

    def _specialists_answers(self) -> tuple[Reference, ...]:
        objectives = self.search.objectives
        measured: dict[str, Measurement] = {}
        for ref in candidates(objectives, list(self.search.parents)):
            start = time.perf_counter()
            with self.guard.interruptible():
                built = self.measuring.builder.build(self.search.parents[ref])
                with built.candidate as candidate:
                    results = self.search.score(candidate, Rung.SEARCH, lambda report: None)
            measured[ref] = Measurement(objectives.scores(results), results)
            seconds = time.perf_counter() - start
            self.observe(ParentMeasured(ref, measured[ref].scores, seconds))
        best = specialists(objectives, {ref: one.scores for ref, one in measured.items()})
        return tuple(
            reference
            for one in objectives.objectives
            if one.proxy
            for reference in correct_answers(one, best[one.name], measured[best[one.name]].results)
        )

    def _search(self, rule: StopRule) -> str:
        """Run trials; return why no further one is begun."""
        trials = self.ledger.trials()
        finished = sum(one.finished for one in trials)
        complete = any(one.state == COMPLETE for one in trials)
        in_a_row = 0
        while (reason := rule.reason(finished, time.time())) is None:
            self.guard.check()
            finished += 1
            trial = self._run_trial(self._next(), partial(self._following, rule, finished))
            complete = complete or trial.state == COMPLETE
            in_a_row = 0 if trial.state == COMPLETE else in_a_row + 1
            limit = self.settings.failures_in_a_row * (5 if complete else 1)
            if in_a_row >= limit:
                raise MergeSearchError(
                    f"{in_a_row} trials in a row failed, so the search stops; the last one:\n"
                    f"{trial.failure}",
                    where=f"trial {trial.number}",
                    fix="mend the reason; the same command goes on from here",
                )
        return reason

    def _next(self) -> FrozenTrial:
        """Return the trial to run: the one that was left behind, else a new proposal."""
        trials = self.study.get_trials(deepcopy=False)
        for trial in trials:
            if not trial.state.is_finished():
                return trial
        number = len(trials)
        self.observe(StageStarted(number, self._first_rung, "proposing"))
        proposal = self._proposal(number, trials)
        trial = optuna.trial.create_trial(
            state=TrialState.RUNNING,
            params=proposal.parameters,
            distributions=distributions(self.search.space.dimensions),
            system_attrs=dict(proposal.notes),
        )
        self.study.add_trial(trial)
        return self.study.get_trials(deepcopy=False)[number]

    def _proposal(self, number: int, trials: Sequence[FrozenTrial]) -> Proposal:
        """What is proposed for trial `number` after the ones before it.

        Where a GPU scores, it never depends on the trial right before it: whether that one was
        still scored then, and whether there was memory to build ahead, makes no difference.
        """
        if self.proposed is None or self.proposed[0] != number:
            problem = Problem(
                distributions(self.search.space.dimensions),
                [axis.direction for axis in self.run.axes],
                self.search.space.starts(),
                self.run.seed,
            )
            known = lagged(trials) if self.search.objectives.runtime.n_gpu_layers > 0 else trials
            self.proposed = number, propose(self.run.sampler, problem, known, number)
        return self.proposed[1]

    def _following(self, rule: StopRule, finished: int, recipe: Recipe) -> Recipe | None:
        """What to build while `recipe` is scored as the trial that makes so many `finished` ones.

        None where the rule begins no other trial, or that one needs no building. Nothing of it is
        on record: a run that ends before it is begun proposes it again.
        """
        if not self.search.build_ahead or rule.reason(finished, time.time()) is not None:
            return None
        trials = self.study.get_trials(deepcopy=False)
        proposal = self._proposal(len(trials), trials)
        other, _ = self._recipe(proposal.parameters)
        if other is None or other == recipe or self.measuring.same_recipe(other) is not None:
            return None
        return other

    def _run_trial(
        self, asked: FrozenTrial, following: Callable[[Recipe], Recipe | None]
    ) -> TrialRecord:
        """Build and score one trial on the rungs of the search, and put its end on disk."""
        number = asked.number
        recipe, failure = self._recipe(asked.params)
        self.ledger.begin_trial(
            number,
            parameters=asked.params,
            recipe={} if recipe is None else recipe.to_dict(),
            recipe_digest="" if recipe is None else recipe.digest(),
            shares={} if recipe is None else self.search.shares(recipe),
        )
        rung, promoted = self._first_rung, None
        if recipe is None:
            measured = Measurement(failure=failure)
        else:
            try:
                same = self.measuring.same_recipe(recipe)
                found = (
                    {rung: same}
                    if same
                    else self.measuring.measure(
                        number, rung, recipe, following=partial(following, recipe)
                    )
                )
            except (Interrupted, KeyboardInterrupt, ObjectivesError):
                self.ledger.interrupt_trial(number)
                raise
            measured = found[rung]
            promoted = found.get(Rung.SEARCH) if rung != Rung.SEARCH else None
        self.ledger.finish_trial(number, measured, rung=rung, promoted=promoted)
        record = self._record(number)
        self._tell(record)
        self.observe(TrialFinished(record))
        return record

    def _recipe(self, parameters: Mapping[str, Any]) -> tuple[Recipe | None, str | None]:
        """The recipe that parameters give, or the reason why they give none."""
        try:
            return self.search.space.recipe(parameters), None
        except MergeSearchError as error:
            return None, str(error)

    def _tell_finished(self) -> None:
        """Tell the study what the ledger has, where a kill came between the two."""
        for trial in self.study.get_trials(deepcopy=False):
            if not trial.state.is_finished():
                record = self.ledger.trial(trial.number)
                if record is not None and record.finished:
                    self._tell(record)

    def _tell(self, record: TrialRecord) -> None:
        if record.state == COMPLETE:
            scores = record.scores(self._first_rung)
            self.study.tell(record.number, [scores[axis.name].value for axis in self.run.axes])
        else:
            self.study.tell(record.number, state=TrialState.FAIL)

    def _validate(self, reason: str) -> None:
        """Score the front's members on the validate items; those that failed to are tried again."""
        front = Front.of(self.run.axes, self.ledger.trials())
        todo = [self._record(member.trial) for member in front.members if not member.validated]
        self.observe(ValidationStarted(reason, tuple(one.number for one in todo)))
        for one, following in zip_longest(todo, todo[1:]):
            self.guard.check()
            recipe, failure = self._recipe(one.parameters)
            measured = (
                Measurement(failure=failure)
                if recipe is None
                else self.measuring.measure(
                    one.number,
                    Rung.VALIDATE,
                    recipe,
                    digest=one.candidate_digest or "",
                    following=partial(self._next_member, following),
                )[Rung.VALIDATE]
            )
            self.ledger.record_rung(one.number, Rung.VALIDATE, measured)
            self.observe(Validated(self._record(one.number)))

    def _next_member(self, member: TrialRecord | None) -> Recipe | None:
        """The recipe of the member to build while the one before it is validated."""
        if member is None or not self.search.build_ahead:
            return None
        return self._recipe(member.parameters)[0]

    def _record(self, number: int) -> TrialRecord:
        record = self.ledger.trial(number)
        assert record is not None
        return record
