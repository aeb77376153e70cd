"""Search the demo's space, stop, and resume; a callback hears of every event.

python examples/search_and_resume.py FOLDER
"""

import sys
from pathlib import Path

import mergesearch
from mergesearch import events

OBJECTIVES = Path(__file__).with_name("small.yaml")


def tell(event: events.Event) -> None:
    """Print what happened, if it is worth a line."""
    match event:
        case events.RunStarted(sampler=sampler, trials=trials):
            print(f"searching with {sampler}, {len(trials)} trials done before")
        case events.TrialFinished(trial):
            values = {name: round(score.value, 3) for name, score in trial.scores().items()}
            print(f"trial {trial.number}: {trial.state} {values}")
        case events.Validated(trial):
            print(f"trial {trial.number}: confirmed")


def main(folder: Path) -> None:
    """Run two trials; then start the run in the same folder again, for four in all."""
    mergesearch.search("demo", OBJECTIVES, folder, trials=2, on_event=tell)
    run = mergesearch.search(folder=folder, trials=4, on_event=tell)
    print(f"{len(run.trials())} trials, knee: trial {run.front().knee}")


if __name__ == "__main__":
    main(Path(sys.argv[1]))
