"""Read a run: its front, its trials as a DataFrame, the items of one trial, the knee's recipe.

python examples/read_a_run.py FOLDER        # a folder that `search run` wrote; needs pandas
"""

import sys
from pathlib import Path

import pandas as pd

import mergesearch


def main(folder: Path) -> None:
    """Print a little of everything."""
    run = mergesearch.Run(folder)

    front = run.front()
    print(f"hypervolume {front.hypervolume:.4f}, {len(front.members)} members")
    for member in front.members:
        values = {name: score.value for name, score in member.values.items()}
        print(f"  trial {member.trial}: {values}, shares {dict(member.shares)}")

    trials = run.to_pandas()
    names = [axis.name for axis in front.axes]
    print(trials.sort_values(names[0], ascending=False)[[*names, "seconds"]].head())

    items = pd.DataFrame(run.items(front.members[0].trial))
    print(items.groupby("task")[["tokens_in", "tokens_out", "seconds"]].sum())

    print(run.recipe("knee").to_yaml())


if __name__ == "__main__":
    main(Path(sys.argv[1]))
