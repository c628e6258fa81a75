"""How often verdicts are right by how sure they are: on planted faults, and where outcomes were drawn by lot.

    python tools/bench_confidence.py [--seeds 6] [--siblings 8]

For each method: of the verdicts that name a step, how many from .0, .2, .4, .6, .8 up are right; and among runs of a
policy that were given outcomes by lot (no step is to blame), how many get a step named, and how sure.
"""

import argparse

import numpy as np

from stepcredit.bench.suites._planted import KINDS, plants
from stepcredit.diagnose.case import Case, Group
from stepcredit.diagnose.methods.combined import combined
from stepcredit.diagnose.methods.contrast import contrast

METHODS = {"contrast": contrast, "combined": combined}
LOT = 0.6


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--seeds", type=int, default=6, help="worlds of each kind")
    parser.add_argument("--siblings", type=int, default=8, help="other runs of the task")
    args = parser.parse_args()
    rng = np.random.default_rng(1)
    told: dict[str, list[tuple[float, bool]]] = {name: [] for name in METHODS}
    lot: dict[str, list[float]] = {name: [] for name in METHODS}
    for kind in KINDS:
        for one in plants(kind, range(args.seeds), args.siblings):
            runs = one.rollouts(args.siblings, "states")
            for name, method in METHODS.items():
                said = method(Case(Group(runs), 0))
                if said.status == "found" and said.confidence is not None:
                    told[name].append((said.confidence, said.step == one.step))
            good = rng.random(len(runs) - 1) < LOT
            for run, won in zip(runs[1:], good, strict=True):
                run.outcome = float(won)
            if 0 < good.sum() < good.size:
                for name, method in METHODS.items():
                    said = method(Case(Group(runs[1:]), int(np.flatnonzero(~good)[0])))
                    lot[name].append(said.confidence or 0.0 if said.status == "found" else 0.0)
    for name, pairs in told.items():
        sure, right = np.array(pairs, float).T
        bands = np.minimum((sure * 5).astype(int), 4)
        parts = [f"from {b / 5:.1f}: {right[bands == b].mean():.2f} of {(bands == b).sum()}" for b in np.unique(bands)]
        brier, by_lot = float(np.mean((sure - right) ** 2)), np.array(lot[name])
        print(f"{name}, {args.siblings} other runs: right {', '.join(parts)}; Brier {brier:.3f}")
        print(f"{name}, outcomes by lot: a step is named in {np.mean(by_lot > 0):.2f} of {by_lot.size}, ", end="")
        print(f"confidence {by_lot[by_lot > 0].mean():.2f} there")


if __name__ == "__main__":
    main()
