"""Compare two trials item by item: on the same items a small difference can be seen.

python examples/compare_trials.py FOLDER FIRST SECOND
"""

import sys
from pathlib import Path

import mergesearch


def main(folder: Path, first: int, second: int) -> None:
    """Print the paired difference of each objective."""
    run = mergesearch.Run(folder)
    for objective, difference in run.compare(first, second).items():
        low, high = difference.interval()
        print(
            f"{objective}: {difference.value:+.3f} (95 %: {low:+.3f} to {high:+.3f}), "
            f"{difference.better} items better, {difference.worse} worse"
        )


if __name__ == "__main__":
    main(Path(sys.argv[1]), int(sys.argv[2]), int(sys.argv[3]))
