"""Fit the router: `python -m ensemble.router_training dev.jsonl [--out FILE]`; needs scikit-learn (extra `router`).

Prints accuracy on each source left out, worst first, the calibration error and served at calls, then writes
weights. No text of the data is kept.
"""

from __future__ import annotations

import argparse
import json
from pathlib import Path

from ensemble.router_evaluation import report
from ensemble.router_training.fitting import Row, fit, leave_one_source_out
from ensemble.router_weights import WEIGHTS


def main() -> None:
    parser = argparse.ArgumentParser(description="Fit the router's weights to labelled prompts.")
    parser.add_argument("prompts", type=Path, help="JSON lines with prompt, label and source")
    parser.add_argument("--out", type=Path, default=WEIGHTS)
    given = parser.parse_args()
    with given.prompts.open(encoding="utf-8") as lines:
        rows = [Row(**{key: row[key] for key in ("prompt", "label", "source")}) for row in map(json.loads, lines)]
    folds = leave_one_source_out(rows)
    print("\n".join(report(rows, folds.probabilities)))
    print(f"temperature on sources left out: {folds.temperature:.3f}")
    given.out.write_bytes(fit(rows, folds.temperature))


if __name__ == "__main__":
    main()
