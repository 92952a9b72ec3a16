"""scikit-learn: the named steps of pipelines, unions and column transformers.

A composition calls its steps' own methods, so those are observed on the steps' classes,
and recorded only for estimators that a running composition has as steps: under the
names it gives them, and their clones' as well.
"""

from __future__ import annotations

import functools
from contextvars import ContextVar
from typing import TYPE_CHECKING, Any, Final

from stagelight import _names
from stagelight.instrumentation.frameworks._calls import Call
from stagelight.instrumentation.frameworks._delivery import (
    carrier,
    continued,
    part,
    root,
)
from stagelight.instrumentation.frameworks._estimators import (
    METHODS,
    RUNNING,
    Running,
    members_of,
)
from stagelight.instrumentation.frameworks._spans import set_on_span
from stagelight.instrumentation.frameworks._steps import step
from stagelight.instrumentation.frameworks._wrapper import Wrapper
from stagelight.instrumentation.frameworks._wrapping import observed

if TYPE_CHECKING:
    from collections.abc import Callable

    from stagelight.instrumentation.frameworks._patches import Patches

#: Functions that fit a composition many times over: one logical run.
_VALIDATIONS: Final = (
    "cross_validate",
    "cross_val_predict",
    "learning_curve",
    "permutation_test_score",
    "validation_curve",
)
#: Of the parallel section whose batches this thread makes: journey and compositions.
_BATCH: Final[ContextVar[tuple[dict[str, str], Running | None]]] = ContextVar(
    "joblib", default=({}, None)
)


class _Classes:
    """Estimator classes whose methods are observed."""

    def __init__(self) -> None:
        self.patches: Patches | None = None
        self.seen: set[type] = set()
        #: Those whose call is a run, whatever steps they have.
        self.roots: set[type] = set()


_CLASSES: Final = _Classes()


def _base(module: Any, patches: Patches) -> None:
    _CLASSES.patches = patches
    patches.finally_(_CLASSES.seen.clear)
    patches.after(module.BaseEstimator, "__sklearn_clone__", _cloned)


def _compositions(*names: str) -> Callable[[Any, Patches], None]:
    def hook(module: Any, patches: Patches) -> None:
        for name in names:
            _observe_root(getattr(module, name), patches)

    return hook


def _validation(module: Any, patches: Patches) -> None:
    for name in _VALIDATIONS:
        if hasattr(module, name):
            patches.around(module, name, _validating(name))


def _validating(name: str) -> Callable[[Any, Any, Any], Call | None]:
    def observe(_owner: Any, args: tuple[Any, ...], kwargs: Any) -> Call | None:
        estimator = args[0] if args else kwargs.get("estimator")
        composed = next(members_of(estimator), None) is not None or _is_root(estimator)
        if RUNNING.get() is not None or not composed:
            return None
        token = RUNNING.set(Running())

        def ended(_result: Any, _error: BaseException | None) -> None:
            RUNNING.reset(token)

        made = step(
            name,
            rule="a scikit-learn validation",
            source=f"sklearn {name}",
            function=f"sklearn.model_selection.{name}",
        )
        return Call(made, None, root(), ended)

    return observe


def _observe_root(kind: type, patches: Patches) -> None:
    _CLASSES.roots.add(kind)
    _observe_class(kind, patches)


def _observe_class(kind: type, patches: Patches) -> None:
    """Observe the methods that a class and its bases define, each where it is."""
    for base in kind.__mro__[:-1]:
        known = base in _CLASSES.seen
        if known and not _is_sent(base):
            continue
        _CLASSES.seen.add(base)
        for name in METHODS:
            method = vars(base).get(name)
            if method is None or isinstance(method, (property, type, Wrapper)):
                continue
            twin = observed(method, _observer(name))
            if known:
                setattr(base, name, twin)
            else:
                patches.put(base, name, twin)


def _is_sent(kind: type) -> bool:
    """Whether cloudpickle sends a class by value: it may set its methods back."""
    return kind.__module__ == "__main__"


def _observer(method: str) -> Callable[[Any, Any, Any], Call | None]:
    def observe(estimator: Any, args: tuple[Any, ...], kwargs: Any) -> Call | None:
        return _call(estimator, method, args, kwargs)

    return observe


def _call(estimator: Any, method: str, args: Any, kwargs: Any) -> Call | None:
    running = RUNNING.get()
    known = None if running is None else running.names.get(id(estimator))
    members = list(members_of(estimator))
    if known is None and not members and not _is_root(estimator):
        return None
    if running is not None and id(estimator) in running.open:
        return None  # one of its methods calls another one
    token = None
    delivery = None
    if running is None:
        running = Running()
        token = RUNNING.set(running)
        delivery = root()
    for name, member in members:
        running.add(member, f"{known}__{name}" if known else name)
        _observe_estimator(member)
    running.open.add(id(estimator))
    kind = type(estimator)
    made = step(
        f"{known or kind.__name__}.{method}",
        rule="a scikit-learn step" if known else "a scikit-learn composition",
        source=f"sklearn {known or kind.__qualname__}.{method}",
        function=f"{kind.__module__}.{kind.__qualname__}.{method}",
    )

    def ended(_result: Any, _error: BaseException | None) -> None:
        running.open.discard(id(estimator))
        if token is not None:
            RUNNING.reset(token)

    def count_rows(_result: Any) -> None:
        data = args[0] if args else kwargs.get("X")
        shape = getattr(data, "shape", None)
        rows = shape[0] if shape else len(data)
        set_on_span(_names.BATCH_SIZE, int(rows))

    return Call(made, None, delivery, ended, count_rows)


def _is_root(estimator: Any) -> bool:
    return isinstance(estimator, tuple(_CLASSES.roots))


def _observe_estimator(estimator: Any) -> None:
    patches, kind = _CLASSES.patches, type(estimator)
    if patches is not None and (kind not in _CLASSES.seen or _is_sent(kind)):
        _observe_class(kind, patches)


def _cloned(estimator: Any, _args: Any, _kwargs: Any, clone: Any) -> None:
    running = RUNNING.get()
    name = None if running is None else running.names.get(id(estimator))
    if running is not None and name is not None:
        running.add(clone, name)


def _joblib(module: Any, patches: Patches) -> None:
    patches.before(module.Parallel, "__call__", _parallel)
    patches.before(module.Parallel, "dispatch_one_batch", _dispatch)
    patches.after(module.BatchedCalls, "__init__", _batched)


def _parallel(parallel: Any, _args: Any, _kwargs: Any) -> None:
    parallel._stagelight = carrier(), RUNNING.get()  # noqa: SLF001 - our own


def _dispatch(parallel: Any, _args: Any, _kwargs: Any) -> None:
    """Batches are made in threads of joblib's own as well."""
    _BATCH.set(getattr(parallel, "_stagelight", ({}, None)))


def _batched(batch: Any, _args: Any, _kwargs: Any, _result: object) -> None:
    """Let what joblib runs elsewhere go on with the journey and the names of here."""
    known, running = _BATCH.get()
    if running is None and not known:
        return
    batch.items = [
        (
            functools.partial(run_elsewhere, known, _names_of(args, running), function),
            args,
            more,
        )
        for function, args, more in batch.items
    ]


def _names_of(args: tuple[Any, ...], running: Running | None) -> dict[int, str]:
    """Names of the estimators among a task's arguments, by position."""
    if running is None:
        return {}
    found = {at: running.names.get(id(one)) for at, one in enumerate(args)}
    return {at: name for at, name in found.items() if name is not None}


def run_elsewhere(
    known: dict[str, str],
    names: dict[int, str],
    function: Callable[..., Any],
    /,
    *args: Any,
    **kwargs: Any,
) -> Any:
    """Run one of joblib's tasks in the journey that it belongs to.

    Args:
        known: The journey, as ``carrier`` gave it.
        names: Names of steps, by the position of their estimator in the arguments.
        function: The task.
        args: Its arguments.
        kwargs: Its keyword arguments.
    """
    outer = RUNNING.get()
    delivery = part(continued(known))
    made = step("joblib task", rule="joblib's tasks for scikit-learn")
    if outer is None and names:
        running = Running()
        for at, name in names.items():
            running.add(args[at], name)
            _observe_estimator(args[at])
        token = RUNNING.set(running)
        try:
            return Call(made, None, delivery).run(function, args, kwargs)
        finally:
            RUNNING.reset(token)
    if delivery is None:
        return function(*args, **kwargs)
    return Call(made, None, delivery).run(function, args, kwargs)


HOOKS: Final[dict[str, Callable[[Any, Patches], None]]] = {
    "sklearn.base": _base,
    "sklearn.pipeline": _compositions("Pipeline", "FeatureUnion"),
    "sklearn.compose._column_transformer": _compositions("ColumnTransformer"),
    "sklearn.ensemble._voting": _compositions("VotingClassifier", "VotingRegressor"),
    "sklearn.ensemble._stacking": _compositions(
        "StackingClassifier", "StackingRegressor"
    ),
    "sklearn.model_selection._search": _compositions("BaseSearchCV"),
    "sklearn.model_selection._validation": _validation,
    "joblib.parallel": _joblib,
}
