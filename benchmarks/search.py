"""How good the fronts of a search are on items that it never saw: python benchmarks/search.py.

    python benchmarks/search.py emulated FOLDER --space demo --sampler auto --seeds 0 1 2 3 4
    python benchmarks/search.py run FOLDER --space demo --sampler auto --seed 0 --budget 12800
    python benchmarks/search.py judge FOLDER
    python benchmarks/search.py report FOLDER
    python benchmarks/search.py plot FOLDER PICTURE.svg

`run` is one search on the demo's parents, in a space of 4 (`small`), 11 (`demo`) or 24 dimensions
(`wide`). `auto` is a search as it comes: parts of a pool of items, then a front confirmed on a
fifth more. Any other sampler scores every trial on the same 640 items, as version 0.2 did, and
`sweep` is the straight line between the two specialists, the same for every seed. The budget counts
the item scores of the search. `judge` scores the members of every front on the truth: 5,000 items
made by `tools.zoo.tasks` with a seed of their own. `emulated` is the same on emulated
candidates (see search_emulator.py), which takes seconds. What is there already is not done again.
"""

from __future__ import annotations

import argparse
import json
import re
import shutil
import tempfile
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass, replace
from functools import cache
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray
from scipy.stats import ttest_1samp, ttest_ind
from search_emulator import EmulatedItems, Emulator
from search_plot import volumes_svg

from mergesearch._system import resources
from mergesearch._system.files import write_json
from mergesearch.build import Workshop
from mergesearch.errors import Interrupted
from mergesearch.merge.masses import masses
from mergesearch.objectives import Objectives, Rung, Score
from mergesearch.recipe import Recipe
from mergesearch.runs.inputs import open_workshop, read_space
from mergesearch.runs.start import search
from mergesearch.scoring import ScoringProcess
from mergesearch.study.database import sqlite_url
from mergesearch.study.events import Event, RunStarted, TrialFinished
from mergesearch.study.loop import run_study
from mergesearch.study.pareto import hypervolume
from mergesearch.study.settings import Search, StudyFiles, StudySettings
from tools.zoo.tasks import write_tasks

Floats = NDArray[np.float64]

SPACES = Path(__file__).with_name("spaces")
TRUTH_SEED = 2026
TRUTH_ITEMS = {"demo_instruct": 2500, "demo_answer": 1250, "demo_choice": 1250}
WHOLE_ITEMS = {"demo_instruct": 320, "demo_answer": 160, "demo_choice": 160}
"""Items of every trial where all trials are scored on the same ones."""
MAXIMIZE = ["maximize", "maximize"]
REFERENCE = [0.0, 0.15]
Z95 = 1.96


# -- what is searched ------------------------------------------------------------------------------


def space_of(name: str) -> str | Path:
    """Return the name of the built-in demo, or the file of another space."""
    return name if name == "demo" else SPACES / f"{name}.yaml"


def objectives_of(sampler: str) -> Objectives:
    """Return the demo's objectives; for all but `auto` with the same items for every trial."""
    path = resources.objectives_file("demo")
    text = path.read_text(encoding="utf-8")
    for task, count in {} if sampler == "auto" else WHOLE_ITEMS.items():
        pattern = rf"(task: {task}.*?)search_items: \d+, trial_items: \d+"
        text = re.sub(pattern, rf"\g<1>search_items: {count}", text)
    return Objectives.from_yaml(text, path.parent)


@dataclass
class Budget:
    """Ends a search once its trials were scored on so many items.

    Attributes:
        items: Number of item scores that the search has.
        used: Number of those that it took.
        trials: Number of trials that took them.
    """

    items: int
    used: int = 0
    trials: int = 0

    def observe(self, event: Event) -> None:
        """Count what trials were scored on; raise `Interrupted` where nothing is left."""
        match event:
            case RunStarted(trials=trials):
                for trial in trials:
                    self._count(trial.scores())
            case TrialFinished(trial=trial):
                self._count(trial.scores())
                if self.used >= self.items:
                    raise Interrupted("the budget is used up")

    def _count(self, scores: Mapping[str, Score]) -> None:
        self.trials += bool(scores)
        self.used += sum(score.n + score.n_unscored for score in scores.values())


# -- runs ------------------------------------------------------------------------------------------


def run(folder: Path, space: str, sampler: str, seed: int, budget: int) -> None:
    """Make one run with real candidates."""
    path = folder / "runs" / f"{space}-{sampler}-{budget}-{seed}"
    if (path / "front.json").is_file():
        return
    if sampler == "sweep":
        path.mkdir(parents=True)
        write_json(path / "front.json", {"front": swept(budget)})
        return
    asked: dict[str, Any] = {
        "space": space_of(space),
        "objectives": objectives_of(sampler),
        "folder": path,
        "seed": seed,
        "sampler": sampler,
    }
    counted = Budget(budget)
    try:
        search(**asked, trials=budget, on_event=counted.observe)
    except Interrupted:
        if counted.used < budget:
            raise
    search(**asked, trials=counted.trials, confirm=0.2 if sampler == "auto" else 0.0)


def emulated(folder: Path, space: str, sampler: str, seeds: Sequence[int], budget: int) -> None:
    """Make runs with emulated candidates, and judge their fronts."""
    emulator = Emulator.fit()
    for seed in seeds:
        path = folder / "emulated" / f"{space}-{sampler}-{budget}-{seed}.json"
        if path.is_file():
            continue
        path.parent.mkdir(parents=True, exist_ok=True)
        if sampler == "sweep":
            items = EmulatedItems(emulator, objectives_of(sampler), seed)
            front = [items.member(recipe) for recipe in line(budget)]
        else:
            with tempfile.TemporaryDirectory() as scratch:
                front = emulated_run(emulator, Path(scratch), space, sampler, seed, budget)
        members = [
            known_of(member) | {"truth": emulator.truth(Recipe.from_dict(member["recipe"]))}
            for member in front
        ]
        write_json(path, members)
        print(path.stem, f"{volume(members):.4f}", flush=True)


def emulated_run(
    emulator: Emulator, folder: Path, space: str, sampler: str, seed: int, budget: int
) -> list[dict[str, Any]]:
    """Return the front of one run, as `front.json` has it."""
    objectives = objectives_of(sampler)
    items = EmulatedItems(emulator, objectives, seed)
    parsed, text = read_space(space_of(space))
    asked = Search(
        space=parsed,
        relevance=lambda: relevance_of(space),
        objectives=objectives,
        build=items.build,
        score=items.score,
        order=lambda: items.order,
        space_text=text,
    )
    files = StudyFiles(
        sqlite_url(folder / "study.db"), "run", folder / "front.json", folder / ".lock"
    )
    settings = StudySettings(seed=seed, sampler=sampler, confirm=0.2 if sampler == "auto" else 0.0)
    counted = Budget(budget)
    try:
        run_study(files, asked, replace(settings, trials=budget), counted.observe)
    except Interrupted:
        if counted.used < budget:
            raise
    front = run_study(files, asked, replace(settings, trials=counted.trials)).to_dict()
    return list(front["front"])


@cache
def relevance_of(space: str) -> Mapping[str, float]:
    """Return how much each dimension of a space is thought to matter, as a run has it."""
    parsed, _ = read_space(space_of(space))
    return parsed.relevances(masses(open_workshop(parsed).parents, parsed.base()))


def swept(budget: int) -> list[dict[str, Any]]:
    """Return the straight line between the specialists, scored as members of a front are."""
    objectives = objectives_of("sweep")
    with ScoringProcess(objectives) as scorer:
        members = []
        for recipe in line(budget):
            digest, scores = scored(recipe, objectives, scorer)
            values = {name: asdict(score) for name, score in scores.items()}
            members.append({"digest": digest, "recipe": recipe.to_dict(), "values": values})
    return members


def scored(
    recipe: Recipe, objectives: Objectives, scorer: ScoringProcess
) -> tuple[str, dict[str, Score]]:
    """Build a recipe and return its digest and its scores on all search items."""
    with Workshop.for_recipe(recipe).candidate(recipe) as candidate:
        return candidate.digest, objectives.scores(scorer.score(candidate, Rung.SEARCH))


def line(budget: int) -> list[Recipe]:
    """Return the straight line between the specialists, in as many points as the budget has."""
    count = budget // sum(WHOLE_ITEMS.values())
    return [mixture(index / (count - 1)) for index in range(count)]


def mixture(share: float) -> Recipe:
    """Return the point of the straight line that has such a share of the second specialist."""
    weights = {"demo:instruct": 1.0 - share, "demo:reason": share}
    models = [{"model": ref, "parameters": {"weight": weight}} for ref, weight in weights.items()]
    document = {"merge_method": "task_arithmetic", "base_model": "demo:base", "models": models}
    return Recipe.from_dict(document)


# -- the truth -------------------------------------------------------------------------------------


def truth_objectives(folder: Path) -> Objectives:
    """Return objectives whose search items are the truth; their data is made where missing."""
    data = folder / "truth"
    if not data.is_dir():
        data.mkdir(parents=True)
        for task in TRUTH_ITEMS:
            shutil.copy(resources.objectives_folder() / "demo" / f"{task}.yaml", data)
        write_tasks(data, TRUTH_SEED)
    text = resources.objectives_file("demo").read_text(encoding="utf-8")
    text = text.replace("task_folder: demo", "task_folder: truth")
    for task, count in TRUTH_ITEMS.items():
        pattern = rf"(task: {task}.*?)search_items.*?validate_items: \d+"
        text = re.sub(pattern, rf"\g<1>search_items: {count}, validate_items: 2", text)
    return Objectives.from_yaml(text, folder)


def judge(folder: Path) -> None:
    """Score the members of every front on the truth."""
    objectives = truth_objectives(folder)
    members = [
        member
        for path in sorted(folder.glob("runs/*/front.json"))
        for member in json.loads(path.read_text())["front"]
    ]
    (folder / "judged").mkdir(exist_ok=True)
    with ScoringProcess(objectives) as scorer:
        for member in members:
            path = folder / "judged" / f"{member['digest']}.json"
            if path.is_file():
                continue
            _, scores = scored(Recipe.from_dict(member["recipe"]), objectives, scorer)
            write_json(path, [[score.value, score.stderr] for score in scores.values()])
            print(path.stem[:8], *(f"{score.value:.4f}" for score in scores.values()), flush=True)


def known_of(member: Mapping[str, Any]) -> dict[str, Any]:
    """Return what a front shows of a member: values and standard errors."""
    scores = (member.get("confirmed") or member["values"]).values()
    return {"shown": [[score["value"], score["stderr"]] for score in scores]}


def judged_runs(folder: Path) -> dict[str, list[dict[str, Any]]]:
    """Return the members of every front whose truth is known, by the run's name."""
    runs = {
        f"{path.stem} (emulated)": json.loads(path.read_text())
        for path in folder.glob("emulated/*.json")
    }
    for path in folder.glob("runs/*/front.json"):
        members = json.loads(path.read_text())["front"]
        files = [folder / "judged" / f"{member['digest']}.json" for member in members]
        if all(file.is_file() for file in files):
            truths = [json.loads(file.read_text()) for file in files]
            runs[path.parent.name] = [
                known_of(member)
                | {"truth": [value for value, _ in truth], "error": [error for _, error in truth]}
                for member, truth in zip(members, truths, strict=True)
            ]
    return runs


# -- the report ------------------------------------------------------------------------------------


def volume(members: Sequence[Mapping[str, Any]]) -> float:
    """Return the true hypervolume of a front."""
    return hypervolume([member["truth"] for member in members], REFERENCE, MAXIMIZE)


def held(members: Sequence[Mapping[str, Any]]) -> float:
    """Return the share of members that no other one dominates beyond the error of the truth."""
    truths = np.array([member["truth"] for member in members])
    errors = np.array([member.get("error", [0.0, 0.0]) for member in members])
    gaps = truths[:, None] - truths  # (dominating, dominated, objectives)
    error = Z95 * np.sqrt(errors[:, None] ** 2 + errors**2)
    dominated = (gaps >= 0).all(axis=-1) & (gaps > error).any(axis=-1)
    return float(1 - dominated.any(axis=0).mean())


def covered(members: Sequence[Mapping[str, Any]]) -> list[bool]:
    """Return whether the 95 % interval of each value that is shown holds its truth."""
    return [
        bool(abs(value - truth) <= Z95 * np.hypot(stderr, error))
        for member in members
        for (value, stderr), truth, error in zip(
            member["shown"], member["truth"], member.get("error", [0.0, 0.0]), strict=True
        )
    ]


def by_kind(folder: Path) -> dict[str, list[list[dict[str, Any]]]]:
    """Return the judged fronts of all seeds of a kind of run, by its name."""
    groups: dict[str, list[list[dict[str, Any]]]] = {}
    for name, members in sorted(judged_runs(folder).items()):
        kind = re.sub(r"-(\d+)( \(emulated\))?$", r"\2", name)
        groups.setdefault(kind, []).append(members)
    return groups


def ahead(ours: Sequence[float], theirs: Sequence[float]) -> tuple[float, float, float]:
    """Return by how much one mean over seeds is larger than another, with its 95 % interval.

    Welch's t: the two need not spread alike. What is the same for every seed, as a line without
    luck, is taken to be exact.
    """
    if np.ptp(theirs) < 1e-12:
        found = ttest_1samp(np.subtract(ours, theirs[0]), 0.0).confidence_interval(0.95)
    else:
        found = ttest_ind(ours, theirs, equal_var=False).confidence_interval(0.95)
    return float(np.mean(ours) - np.mean(theirs)), float(found.low), float(found.high)


def report(folder: Path) -> None:
    """Print a table of all runs that are judged, medians and quartiles over their seeds.

    The last columns compare with `auto` in the same space and with the same budget.
    """
    groups = by_kind(folder)
    print(
        "| run | seeds | true hypervolume (quartiles) | members | not dominated | covered"
        " | auto is ahead by (95 %) |"
    )
    print("|---|---|---|---|---|---|---|")
    for kind, fronts in groups.items():
        low, middle, high = np.quantile([volume(members) for members in fronts], [0.25, 0.5, 0.75])
        size = np.mean([len(members) for members in fronts])
        hold = np.median([held(members) for members in fronts])
        cover = np.mean([hit for members in fronts for hit in covered(members)])
        ours = groups.get(re.sub(r"-[a-z0-9]+-(?=\d)", "-auto-", kind), [])
        gap = "-"
        if len(ours) > 1 and ours is not fronts:
            gap = "{:+.4f} ({:+.4f} to {:+.4f})".format(*ahead(*map(volumes_of, (ours, fronts))))
        print(
            f"| {kind} | {len(fronts)} | {middle:.4f} ({low:.4f} to {high:.4f}) | {size:.1f} "
            f"| {hold:.2f} | {cover:.2f} | {gap} |"
        )


def volumes_of(fronts: Sequence[Sequence[Mapping[str, Any]]]) -> list[float]:
    """Return the true hypervolume of each front."""
    return [volume(members) for members in fronts]


def plot(folder: Path, picture: Path) -> None:
    """Draw the hypervolumes of all runs that are judged."""
    volumes = {}
    for kind, fronts in by_kind(folder).items():
        space, sampler, budget = kind.removesuffix(" (emulated)").rsplit("-", 2)
        volumes[space, sampler, int(budget)] = volumes_of(fronts)
    picture.write_text(volumes_svg(volumes), encoding="utf-8")


def main() -> None:
    """Do what the command line asks for."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    commands = parser.add_subparsers(dest="command", required=True)
    for name in ("run", "emulated"):
        command = commands.add_parser(name)
        command.add_argument("folder", type=Path)
        command.add_argument("--space", choices=["small", "demo", "wide"], default="demo")
        command.add_argument("--sampler", default="auto")
        command.add_argument("--budget", type=int, default=12_800)
        if name == "run":
            command.add_argument("--seed", type=int, default=0)
        else:
            command.add_argument("--seeds", type=int, nargs="+", default=[0, 1, 2, 3, 4])
    for name in ("judge", "report", "plot"):
        command = commands.add_parser(name)
        command.add_argument("folder", type=Path)
        if name == "plot":
            command.add_argument("picture", type=Path)
    arguments = vars(parser.parse_args())
    actions = {"run": run, "emulated": emulated, "judge": judge, "report": report, "plot": plot}
    actions[arguments.pop("command")](**arguments)


if __name__ == "__main__":
    main()
