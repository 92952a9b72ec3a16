from __future__ import annotations

from collections import Counter
from typing import TYPE_CHECKING

from harness.frameworks import finished, observe, traces

if TYPE_CHECKING:
    from pathlib import Path

    from harness import OtlpReceiver

PIPELINE = """
import inspect, pickle, tempfile
from sklearn.compose import ColumnTransformer
from sklearn.datasets import load_iris
from sklearn.decomposition import PCA
from sklearn.feature_selection import SelectKBest
from sklearn.linear_model import LogisticRegression
from sklearn.pipeline import FeatureUnion, Pipeline, make_pipeline
from sklearn.preprocessing import MinMaxScaler, StandardScaler

X, y = load_iris(return_X_y=True)
columns = ColumnTransformer([("lengths", StandardScaler(), [0, 2]),
                             ("widths", StandardScaler(), [1, 3])])
model = Pipeline([
    ("columns", columns),
    ("union", FeatureUnion([("pca", PCA(n_components=2)), ("best", SelectKBest(k=1))])),
    ("inner", make_pipeline(MinMaxScaler(), "passthrough")),
    ("classify", LogisticRegression(max_iter=500)),
], memory=tempfile.mkdtemp())
print(model.fit(X, y) is model, hasattr(model, "transform"), hasattr(model, "predict_proba"))
print(model.predict(X[:5]), round(model.score(X, y), 3))
again = pickle.loads(pickle.dumps(model))
print(again.predict(X[-3:]))
print(inspect.signature(model.fit), inspect.signature(StandardScaler().fit))
print(StandardScaler().fit_transform(X).shape)
try:
    model.predict([[1, 2]])
except ValueError as error:
    print(type(error).__name__)
"""
SEARCH = """
from sklearn.datasets import load_digits
from sklearn.decomposition import PCA
from sklearn.linear_model import LogisticRegression
from sklearn.model_selection import GridSearchCV
from sklearn.pipeline import Pipeline
from sklearn.preprocessing import StandardScaler

if __name__ == "__main__":
    X, y = load_digits(return_X_y=True, n_class=3)
    pipe = Pipeline([("scaler", StandardScaler()), ("pca", PCA()),
                     ("logistic", LogisticRegression(max_iter=1000, tol=0.1))])
    search = GridSearchCV(pipe, {"pca__n_components": [5, 15], "logistic__C": [0.1, 1.0]},
                          cv=3, n_jobs=2)
    search.fit(X, y)
    print(search.best_params_, round(search.best_score_, 3))
"""


def test_pipeline(receiver: OtlpReceiver, tmp_path: Path):
    """Steps are stages under their names, nested ones and clones as well."""
    observed = observe(receiver, PIPELINE, cwd=tmp_path)
    assert {
        name: stage["outcomes"] for name, stage in observed.pipeline["stages"].items()
    } == {
        "Pipeline.fit": {"success": 1},
        "Pipeline.predict": {"success": 2, "failure": 1},
        "Pipeline.score": {"success": 1},
        "columns.fit_transform": {"success": 1},
        "columns__lengths.fit_transform": {"success": 1},
        "columns__widths.fit_transform": {"success": 1},
        "columns.transform": {"success": 3, "failure": 1},
        "columns__lengths.transform": {"success": 3},
        "columns__widths.transform": {"success": 3},
        "union.fit_transform": {"success": 1},
        "union__pca.fit_transform": {"success": 1},
        "union__best.fit_transform": {"success": 1},
        "union.transform": {"success": 3},
        "union__pca.transform": {"success": 3},
        "union__best.transform": {"success": 3},
        "inner.fit_transform": {"success": 1},
        "inner__minmaxscaler.fit_transform": {"success": 1},
        "inner.transform": {"success": 3},
        "inner__minmaxscaler.transform": {"success": 3},
        "classify.fit": {"success": 1},
        "classify.predict": {"success": 2},
        "classify.score": {"success": 1},
    }
    assert len(observed.traces()) == 5
    assert (
        "process union__pca.transform",
        "process union.transform",
    ) in observed.tree()
    rows = {
        span.attributes["stagelight.batch.size"]
        for span in observed.spans
        if span.name == "process classify.predict"
    }
    assert rows == {5, 3}


def test_search(receiver: OtlpReceiver, tmp_path: Path):
    """A grid search on two processes is one trace with every fit in it."""
    observed = observe(receiver, SEARCH, cwd=tmp_path)
    done = finished(receiver, "stagelight.stage.process.duration")
    # Twelve fits on the grid, and one with the best on all data.
    assert done["Pipeline.fit success"] == done["pca.fit_transform success"] == 13
    assert done["Pipeline.score success"] == 12
    assert done["GridSearchCV.fit success"] == 1
    (counts,) = traces(receiver.spans()).values()
    assert counts["process Pipeline.fit"] == 13
    assert len({span.resource["service.instance.id"] for span in observed.spans}) == 3


VALIDATION = """
from sklearn.datasets import load_iris
from sklearn.linear_model import LogisticRegression
from sklearn.model_selection import cross_val_score
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import StandardScaler

if __name__ == "__main__":
    X, y = load_iris(return_X_y=True)
    model = make_pipeline(StandardScaler(), LogisticRegression())
    print(cross_val_score(model, X, y, cv=3).round(3))
"""


def test_cross_validation(receiver: OtlpReceiver, tmp_path: Path):
    """All folds of one composition are one trace."""
    observe(receiver, VALIDATION, cwd=tmp_path)
    assert list(traces(receiver.spans()).values()) == [
        {
            "ingest program": 1,
            "process cross_validate": 1,
            "process Pipeline.fit": 3,
            "process standardscaler.fit_transform": 3,
            "process logisticregression.fit": 3,
            "process Pipeline.score": 3,
            "process standardscaler.transform": 3,
            "process logisticregression.score": 3,
        }
    ]


SENT = """
from concurrent.futures import ProcessPoolExecutor
from joblib import Parallel, delayed
from sklearn.base import BaseEstimator, TransformerMixin, clone
from sklearn.datasets import load_iris
from sklearn.ensemble import StackingClassifier
from sklearn.linear_model import LogisticRegression
from sklearn.model_selection import GridSearchCV
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import FunctionTransformer

class Half(TransformerMixin, BaseEstimator):
    def fit(self, X, y=None):
        return self
    def transform(self, X):
        return X / 2

if __name__ == "__main__":
    X, y = load_iris(return_X_y=True)
    model = make_pipeline(Half(), LogisticRegression()).fit(X, y)
    with ProcessPoolExecutor(1) as pool:
        print(sum(pool.submit(model.predict, X).result()))
    print(sum(Parallel(n_jobs=2)(delayed(model.score)(X, y) for _ in range(2))))
    first = FunctionTransformer(model.predict_proba)
    print(clone(first).fit_transform(X).shape)
    stack = StackingClassifier([("a", model), ("b", clone(model))], cv=2, n_jobs=2)
    print(stack.fit(X, y).predict(X).shape)
    GridSearchCV(model, {"logisticregression__C": [1, 2]}, cv=3, n_jobs=2).fit(X, y)
"""


def test_what_is_sent_to_other_processes(receiver: OtlpReceiver, tmp_path: Path):
    """Methods and functions that are observed pickle and copy as they do bare."""
    observe(receiver, SENT, cwd=tmp_path)
    found = finished(receiver, "stagelight.stage.process.duration")
    # 1 + 1, 2 at once, a copy's, 2 x (1 + 2 x 2 + 1), and 2 x 3 x 2 + 1 of the search.
    names = ("half", "a__half", "b__half")
    fits = {name: found[f"{name}.fit_transform success"] for name in names}
    assert fits == {"half": 1 + 7, "a__half": 3, "b__half": 3}
    applied = {name: found[f"{name}.transform success"] for name in names}
    assert applied == {"half": 1 + 2 + 1 + 6, "a__half": 3, "b__half": 3}


ENSEMBLES = """
from sklearn.datasets import load_iris
from sklearn.ensemble import VotingClassifier
from sklearn.linear_model import LogisticRegression
from sklearn.model_selection import GridSearchCV
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import StandardScaler
from sklearn.tree import DecisionTreeClassifier

if __name__ == "__main__":
    X, y = load_iris(return_X_y=True)
    model = make_pipeline(StandardScaler(), LogisticRegression())
    grid = {"logisticregression__C": [1, 2]}
    print(GridSearchCV(model, grid, cv=2, n_jobs=2).fit(X, y).best_params_)
    members = [("line", model), ("tree", DecisionTreeClassifier(random_state=0))]
    print(VotingClassifier(members, n_jobs=2).fit(X, y).predict(X[:3]))
"""


def test_ensembles(receiver: OtlpReceiver, tmp_path: Path):
    """Members have their names, and no trace of what the same processes did before."""
    observed = observe(receiver, ENSEMBLES, cwd=tmp_path)
    search, fitting, predicting = sorted(
        observed.traces().values(), key=Counter.total, reverse=True
    )
    assert search["process Pipeline.fit"] == 5
    assert fitting == {
        "ingest program": 1,
        "process VotingClassifier.fit": 1,
        "process joblib task": 2,
        "process line.fit": 1,
        "process line__standardscaler.fit_transform": 1,
        "process line__logisticregression.fit": 1,
        "process tree.fit": 1,
    }
    assert predicting["process VotingClassifier.predict"] == 1
    names = ("line.predict", "tree.predict")
    assert [predicting[f"process {name}"] for name in names] == [1, 1]
