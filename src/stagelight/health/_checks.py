"""The user's own checks: each runs beside the probes, never inside of one."""

from __future__ import annotations

import inspect
import threading
import time
from dataclasses import dataclass
from time import perf_counter_ns as clock
from typing import TYPE_CHECKING, Any, Final, Literal, TypeVar

from stagelight._cells import NANOSECONDS
from stagelight._errors import ConfigurationError
from stagelight._register import check_name

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable

Probe = Literal["live", "ready", "startup"]
Status = Literal["pass", "warn", "fail"]
PROBES: Final = ("live", "ready", "startup")
F = TypeVar("F", bound="Callable[[], Any]")
_MAX_OUTPUT: Final = 500


class Warn(Exception):  # noqa: N818 - it is no error: raise it to say that it works, badly
    """Raise it in a check that passes with a warning."""

    __module__ = "stagelight.health"


@dataclass(frozen=True, slots=True)
class Result:
    """What a check said last.

    Attributes:
        name: Name of the check.
        status: ``pass``, ``warn`` or ``fail``.
        output: Why not ``pass``.
        time: Wall clock of the answer, seconds since the epoch.
        seconds: How long it took.
        probes: Which probes it counts for.
    """

    name: str
    status: Status
    output: str
    time: float
    seconds: float
    probes: tuple[str, ...]


class Check:
    """One registered check, and its last answer.

    A check that hangs keeps its one thread, and is not started a second time.
    """

    def __init__(
        self,
        name: str,
        function: Callable[[], Any],
        probes: tuple[str, ...],
        timeout: float,
        every: float,
    ) -> None:
        self.name, self.function, self.probes = name, function, probes
        self.timeout, self.every = timeout, every
        self._lock = threading.Lock()
        self._running_since: int | None = None
        self._due = 0
        self._last: Result | None = None

    def start_if_due(self) -> None:
        """Run it in a thread of its own, unless it is running or was run lately."""
        now = clock()
        with self._lock:
            if self._running_since is not None or now < self._due:
                return
            self._running_since = now
            self._due = now + round(self.every * NANOSECONDS)
        thread = threading.Thread(
            target=self._run, name=f"stagelight-check-{self.name}", daemon=True
        )
        try:
            thread.start()
        except RuntimeError:  # the interpreter goes down, or no thread can be had
            with self._lock:
                self._running_since = None

    def _run(self) -> None:
        begun = clock()
        status, output = self._ask()
        took = (clock() - begun) / NANOSECONDS
        if took > self.timeout:
            late = f"answered after {took:.1f} s, the limit is {self.timeout:g} s"
            status, output = "fail", f"{late}: {output}" if output else late
        with self._lock:
            self._last = Result(
                self.name, status, output[:_MAX_OUTPUT], time.time(), took, self.probes
            )
            self._running_since = None

    def _ask(self) -> tuple[Status, str]:
        try:
            answer = self.function()
            if inspect.isawaitable(answer):
                import asyncio

                answer = asyncio.run(_wait(answer, self.timeout))
        except Warn as warning:
            return "warn", str(warning)
        except BaseException as error:  # noqa: BLE001 - whatever it raises is its answer
            text = f"{type(error).__qualname__}: {error}"
            return "fail", text.removesuffix(": ")
        if answer is None or answer is True:
            return "pass", ""
        return "fail", "" if answer is False else str(answer)

    def result(self) -> Result:
        """Its last answer, or that there is none in time."""
        with self._lock:
            last, since = self._last, self._running_since
        if since is not None:
            running = (clock() - since) / NANOSECONDS
            if running > self.timeout:
                return Result(
                    self.name,
                    "fail",
                    f"no answer for {running:.1f} s, the limit is {self.timeout:g} s",
                    time.time(),
                    running,
                    self.probes,
                )
        if last is None:
            return Result(
                self.name, "fail", "not answered yet", time.time(), 0.0, self.probes
            )
        return last


async def _wait(answer: Any, timeout: float) -> Any:
    import asyncio

    return await asyncio.wait_for(answer, timeout)


class Checks:
    """All registered checks by name."""

    def __init__(self) -> None:
        self._checks: dict[str, Check] = {}

    def add(
        self,
        name: str,
        function: Callable[[], Any],
        probes: Iterable[str],
        timeout: float,
        every: float,
    ) -> None:
        """Register a check; one of the same name is replaced.

        Raises:
            ConfigurationError: An argument cannot be right.
        """
        check_name(name, "check")
        if "/" in name or ":" in name:
            raise ConfigurationError(
                f"the check name {name!r} has a / or a :, which paths such as "
                "/readyz/NAME keep for themselves; pass another name="
            )
        chosen = (probes,) if isinstance(probes, str) else tuple(probes)
        if not chosen or any(probe not in PROBES for probe in chosen):
            raise ConfigurationError(
                f"check {name!r}: probes={chosen!r}; it takes some of "
                f"{', '.join(map(repr, PROBES))}"
            )
        for key, value in (("timeout", timeout), ("every", every)):
            if isinstance(value, bool) or not isinstance(value, (int, float)):
                raise ConfigurationError(
                    f"check {name!r}: {key}={value!r}; it takes seconds"
                )
            if not value > 0:
                raise ConfigurationError(
                    f"check {name!r}: {key}={value!r}; it takes more than 0 seconds"
                )
        if not callable(function):
            raise ConfigurationError(
                f"check {name!r}: {function!r} is not callable; it takes a function "
                "without arguments"
            )
        self._checks[name] = Check(name, function, chosen, timeout, every)

    def remove(self, name: str) -> None:
        """Forget a check; one that is not there is nothing to forget."""
        self._checks.pop(name, None)

    def clear(self) -> None:
        """Forget all."""
        self._checks.clear()

    def start_due(self) -> None:
        """Start those that are due, each in a thread of its own."""
        for check in list(self._checks.values()):
            check.start_if_due()

    def results(self) -> list[Result]:
        """The last answer of each."""
        return [check.result() for check in list(self._checks.values())]


CHECKS: Final = Checks()


def check(
    target: F | str | None = None,
    *,
    name: str | None = None,
    probes: Iterable[Probe] = ("ready",),
    timeout: float = 2.0,
    every: float = 10.0,
) -> Any:
    """Register a health check; a decorator, with or without arguments.

    It runs in a thread of its own every few seconds, and the probes tell its last
    answer: a check that hangs or raises fails, and holds nobody up. It passes where it
    returns None or True, warns where it raises ``Warn``, and fails otherwise.

    Args:
        target: A function or coroutine function without arguments, or the name.
        name: Name of the check; by default the function's.
        probes: ``ready`` by default. Let nothing outside of this process count for
            ``live``: a restart would not heal it.
        timeout: Seconds it may take.
        every: Seconds between two runs.

    Raises:
        ConfigurationError: An argument cannot be right.
    """
    if isinstance(target, str):
        return lambda one: check(
            one, name=target, probes=probes, timeout=timeout, every=every
        )
    if target is None:
        return lambda one: check(
            one, name=name, probes=probes, timeout=timeout, every=every
        )
    chosen = getattr(target, "__name__", None) if name is None else name
    if not isinstance(chosen, str):
        raise ConfigurationError(f"the check {target!r} has no name; pass name=")
    CHECKS.add(chosen, target, probes, timeout, every)
    return target
