"""One call of a framework's function, run as a call of a stage."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from stagelight import _guard, _names, _outcomes
from stagelight._driving import drive
from stagelight._tracer import TRACER
from stagelight.instrumentation.frameworks._steps import invoke_async, means

if TYPE_CHECKING:
    from collections.abc import Callable

    from stagelight._journey import Turn
    from stagelight.instrumentation.frameworks._delivery import Delivery
    from stagelight.instrumentation.frameworks._steps import Step


class Again(Exception):  # noqa: N818 - no error: the call was left, to be begun anew
    """The verdict on such a call, which counts as cancelled."""


class Call:
    """How one call of a framework's function is observed.

    Args:
        step: The stage.
        event: The event, for its identifier.
        delivery: Where it comes from, where it does not nest in what runs here.
        ended: Told of the result and of the error, one of them None, in the end.
        judge: Looks at a result, and gives the error that it stands for, if any. The
            framework gets the result all the same.
        meaning: Looks at the error of a coroutine function, and gives the one that it
            stands for, if any. The framework gets its own all the same.
    """

    __slots__ = (
        "_meant",
        "_verdict",
        "delivery",
        "ended",
        "event",
        "judge",
        "meaning",
        "step",
    )

    def __init__(  # noqa: PLR0913, PLR0917 - the last ones are rare
        self,
        step: Step,
        event: object = None,
        delivery: Delivery | None = None,
        ended: Callable[[Any, BaseException | None], object] | None = None,
        judge: Callable[[Any], BaseException | None] | None = None,
        meaning: Callable[[BaseException], BaseException | None] | None = None,
    ) -> None:
        self.judge = judge
        self.meaning = meaning
        self._meant: tuple[BaseException, BaseException, Any] | None = None
        self._verdict: tuple[BaseException, Any, Any] | None = None
        self.step = step
        self.event = event
        self.delivery = delivery
        self.ended = ended

    def run(
        self,
        function: Callable[..., Any],
        args: tuple[Any, ...],
        kwargs: dict[str, Any],
    ) -> Any:
        """Call the framework's function.

        Args:
            function: The function, bound.
            args: Its arguments.
            kwargs: Its keyword arguments.
        """
        if self.delivery is not None:
            self.delivery.begin(self.event)
        try:
            if self.judge is not None:
                function = self._judged(function)
            result = self.step.call(self.event, function, *args, **kwargs)
        except BaseException as error:
            self._end(None, error)
            if self._verdict is None or self._verdict[0] is not error:
                raise
            _, result, error.__traceback__ = self._verdict
            return result
        self._end(result, None)
        return result

    async def run_async(
        self,
        function: Callable[..., Any],
        args: tuple[Any, ...],
        kwargs: dict[str, Any],
    ) -> Any:
        """Await the framework's coroutine function; arguments as for ``run``."""
        turn = self._begin_async()
        try:
            if self.judge is not None or self.meaning is not None:
                function = self._judged_async(function)
            if turn is None:
                result = await self.step.call(self.event, function, *args, **kwargs)
            else:
                work = invoke_async(self.event, function, *args, **kwargs)
                result = await drive(self.step.record, work, self.event, turn)
        except BaseException as error:
            self._end(None, error, overlapping=True)
            meant, self._meant = self._meant, None
            if meant is None or meant[0] is not error:
                if self._verdict is None or self._verdict[0] is not error:
                    raise
                _, result, error.__traceback__ = self._verdict
                return result
        else:
            self._end(result, None, overlapping=True)
            return result
        # Outside of the handler: its context is what it was.
        raise meant[1].with_traceback(meant[2])

    def _begin_async(self) -> Turn | None:
        """Take the event; its turn, where nothing has to find that by itself."""
        if self.delivery is None:
            return None
        if TRACER.on:  # then the short path is worth its price
            self.delivery.begin(self.event)
            return None
        return self.delivery.enter(self.event)

    def fail(self, error: BaseException) -> None:
        """Note the error of a call that was run without this; it may be a drop.

        Args:
            error: What it raised.
        """
        self._end(None, error)

    def _judged(self, function: Callable[..., Any]) -> Callable[..., Any]:
        def judged(*args: Any, **kwargs: Any) -> Any:
            return self._pass(function(*args, **kwargs))

        return judged

    def _judged_async(self, function: Callable[..., Any]) -> Callable[..., Any]:
        async def judged(*args: Any, **kwargs: Any) -> Any:
            try:
                result = await function(*args, **kwargs)
            except BaseException as error:
                self._interpret(error)
                raise
            return self._pass(result)

        return judged

    def _interpret(self, error: BaseException) -> None:
        """Raise what an error stands for, if anything, in its place."""
        if self.meaning is None:
            return
        meant = self._quietly(self.meaning, error)
        if meant is not None:
            trace = error.__traceback__
            self._meant = meant, error, trace
            raise meant.with_traceback(trace)

    def _pass(self, result: Any) -> Any:
        """The result, or the error that it stands for."""
        if self.judge is None:
            return result
        error = self._quietly(self.judge, result)
        if error is not None:
            self._verdict = error, result, error.__traceback__
            raise error
        return result

    def _end(
        self, result: Any, error: BaseException | None, *, overlapping: bool = False
    ) -> None:
        if self.delivery is not None:
            self.delivery.end(overlapping=overlapping)
        if error is not None:
            self._quietly(self._look_for_drop, error)
        if self.ended is not None:
            self._quietly(self.ended, result, error)

    def _look_for_drop(self, error: BaseException) -> None:
        record = self.step.record
        if _outcomes.classify(record, error)[0] == _names.DROPPED:
            # A closed set: the stage bounds its error types.
            reason = record.error_type(error).rpartition(".")[2]
            self.step.drop(reason, self.event)

    @staticmethod
    def _quietly(ask: Callable[..., Any], *args: Any) -> Any:
        try:
            return ask(*args)
        except Exception as problem:  # noqa: BLE001 - never into the framework
            _guard.caught("framework", problem)
            return None


means(f"{__name__}.Again", _names.CANCELLED)
