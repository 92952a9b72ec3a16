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
def step(
    items: Items, awaitable: Any, first: list[Any] | None = None
) -> Generator[Any, Any, Any]:
    """Await one item of an asynchronous generator, step by step.

    Args:
        items: The call.
        awaitable: What ``asend`` or ``athrow`` returned.
        first: What it waits for, where it is under way already.
    """
    run = items.run
    opened = run.slot.open if run is not None else {}
    value: Any = None
    thrown: BaseException | None = None
    if first:
        opened[items] = items.began
        steps = awaitable
    else:
        opened[items] = clock()
        steps = awaitable.__await__()
        items.step()
    try:
        while True:
            try:
                if first:
                    waited = first.pop()
                elif thrown is None:
                    waited = steps.send(value)
                else:
                    waited = steps.throw(thrown)
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


@types.coroutine
def rest(
    native: Any, items: Items, awaitable: Any, first: list[Any]
) -> Generator[Any, Any, None]:
    """Await an item that C could not make at once, and leave it there.

    Args:
        native: What drives the generator.
        items: The call.
        awaitable: What ``asend`` or ``athrow`` returned.
        first: What it waits for, where C took its first step; else nothing.
    """
    try:
        native.made = yield from step(items, awaitable, first)
    except StopAsyncIteration:
        items.finish(None)
    except BaseException as error:
        items.finish(error)
        raise
