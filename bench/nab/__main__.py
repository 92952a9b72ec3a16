"""Score the anomaly detector: python -m bench.nab DATA_DIR.

DATA_DIR is a checkout of https://github.com/numenta/NAB. With ``--results NAME`` what
the benchmark keeps of another detector is scored, which proves the scoring.
"""

from __future__ import annotations

import argparse
import csv
import sys
import time
from pathlib import Path

from bench.nab.corpus import FILES, Series, read_corpus
from bench.nab.scoring import PROFILES, points, rows

from stagelight.alerts._anomaly import Detector


def _ours(series: Series) -> list[float]:
    detector = Detector()
    return [
        detector.update(at, value)
        for at, value in zip(series.times, series.values, strict=True)
    ]


def _theirs(folder: Path, name: str, series: Series) -> list[float]:
    place, file = series.name.split("/")
    path = folder / "results" / name / place / f"{name}_{file}"
    with path.open(encoding="utf-8", newline="") as lines:
        return [float(row["anomaly_score"]) for row in csv.DictReader(lines)]


def main() -> int:
    """Print the three scores."""
    parser = argparse.ArgumentParser(prog="python -m bench.nab")
    parser.add_argument("folder", type=Path, help="a checkout of numenta/NAB")
    parser.add_argument("--results", metavar="NAME", help="of a detector of theirs")
    options = parser.parse_args()
    try:
        corpus = read_corpus(options.folder)
    except OSError as error:
        print(error, file=sys.stderr)
        return 2
    began = time.process_time()
    counted = []
    for series in corpus:
        if options.results:
            scores = _theirs(options.folder, options.results, series)
        else:
            scores = _ours(series)
        counted += rows(series, scores)
    spent = time.process_time() - began
    windows = sum(len(one.windows) for one in corpus)
    number = sum(len(one.values) for one in corpus)
    print(f"{len(corpus)} files, {number} rows, {windows} windows")
    for profile in PROFILES:
        score, threshold = points(counted, profile, windows)
        print(f"{profile.name:<9} {score:6.1f}   (threshold {threshold:.3f})")
    print(f"{spent / number * 1e6:.1f} us a row")
    if len(corpus) != FILES:
        print(f"this is not the whole corpus, which has {FILES} files", file=sys.stderr)
    return 0


if __name__ == "__main__":
    sys.exit(main())
