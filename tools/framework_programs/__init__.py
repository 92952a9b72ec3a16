"""The frameworks' own example programs, and what a run of each has to count."""

from __future__ import annotations

import re
from typing import TYPE_CHECKING

from framework_home import examples

from .flows import dask, hamilton, kedro, luigi
from .model import GITHUB, OWN, Program, Run, done
from .queues import dramatiq, rq

if TYPE_CHECKING:
    from pathlib import Path

__all__ = ["Program", "Run", "programs"]


def programs(python: Path) -> list[Program]:
    """All programs, with their sources in place.

    Args:
        python: The interpreter with the frameworks.
    """
    return [
        *luigi(python),
        Program("scrapy bench", ["-m scrapy bench -s CLOSESPIDER_TIMEOUT=3"], _answers),
        *rq(python),
        *kedro(python),
        *sklearn(python),
        *(
            Program(
                f"spaCy nlp.pipe, n_process={number}",
                [f"{OWN}/spacy_pipe.py {number}"],
                done("tokenizer sentencizer", 200) | done("nlp.pipe"),
            )
            for number in (1, 2)
        ),
        *hamilton(python),
        *dramatiq(python),
        *dask(),
    ]


def _answers(run: Run) -> dict[str, int]:
    """Scrapy's callback, as often as its own statistics tell of an answer."""
    found = re.search(r"'response_received_count': (\d+)", run.stderr)
    answers = int(found[1]) if found else -1
    callback = next((one for one in run.counts if "parse" in one), "parse success")
    return {**run.counts, callback: answers}


def sklearn(python: Path) -> list[Program]:
    """A search over a union of features, and one whose workers are processes.

    Args:
        python: The interpreter with the frameworks.
    """
    repository = GITHUB + "scikit-learn/scikit-learn"
    sources = examples(python, "scikit-learn", repository, "{}")
    compose = sources / "examples" / "compose"
    env = {"MPLBACKEND": "Agg"}

    def union(run: Run) -> dict[str, int]:
        # 18 candidates x 5 folds: a fit of 5 steps and a score of 5; one fit more; the
        # search; the union's own fit and transform, of 3 steps each.
        total = 90 * 10 + 5 + 1 + 6
        return dict(run.counts) if run.counts.total() == total else {"all": total}

    # 20 candidates x 5 folds, each fitted and scored by a process; one fit more.
    fits = "Pipeline.fit scaler.fit_transform pca.fit_transform logistic.fit"
    scores = "Pipeline.score scaler.transform pca.transform logistic.score"
    digits = {
        **done(fits, 101),
        **done(scores, 100),
        "joblib task success": 100,
        "GridSearchCV.fit success": 1,
    }
    return [
        Program(
            "scikit-learn plot_feature_union.py",
            [f"{compose}/plot_feature_union.py"],
            union,
            3,  # the union's fit and transform, and the search
            env=env,
            sources=sources,
        ),
        Program(
            "scikit-learn plot_digits_pipe.py",
            [f"{compose}/plot_digits_pipe.py"],
            digits,
            env=env,
            sources=sources,
        ),
    ]
