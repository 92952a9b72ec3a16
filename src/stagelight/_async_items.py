"""Asynchronous generators: each item is awaited step by step."""

from __future__ import annotations

import sys
import types
from time import perf_counter_ns as clock
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from collections.abc import AsyncGenerator, Awaitable, Generator

    from stagelight._items import Items


def first_step(generator: AsyncGenerator[Any, Any]) -> Awaitable[Any]:
    """Start the user's asynchronous generator, unseen by the event loop's hooks.

    Our own generator around it has been announced to them. Were both, then the loop's
    shutdown would close both at once, and the second fails as already running.

    Args:
        generator: The generator, not yet started.
    """
    hooks = sys.get_asyncgen_hooks()
    sys.set_asyncgen_hooks(None, None)
    try:
        return generator.asend(None)
    finally:
        sys.set_asyncgen_hooks(*hooks)


@types.coroutine
def step(items: Items, awaitable: Any) -> Generator[Any, Any, Any]:
    """Await one item of an asynchronous generator, step by step.

    Args:
        items: The call.
        awaitable: What ``asend`` or ``athrow`` returned.
    """
    run = items.run
    opened = run.slot.open if run is not None else {}
    opened[items] = clock()
    steps = awaitable.__await__()
    value: Any = None
    thrown: BaseException | None = None
    items.step()
    try:
        while True:
            try:
                waited = steps.send(value) if thrown is None else steps.throw(thrown)
            except StopIteration as stop:
                items.made()
                return stop.value
            except BaseException:
                items.leave()
                raise
            finally:
                value = thrown = None
            items.leave()
            try:
                value = yield waited
            except BaseException as problem:  # noqa: BLE001 - handed on
                thrown = problem
            items.resume()
    finally:
        opened.pop(items, None)
