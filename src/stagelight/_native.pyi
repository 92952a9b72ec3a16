from array import array
from collections.abc import Callable
from typing import Any

DECLINE: object

class Ended(BaseException): ...
class Waits(BaseException): ...

class Call:
    def __init__(
        self,
        target: Callable[..., Any],
        find: Callable[[], Any],
        twin: Callable[[], Any] | None = None,
    ) -> None: ...
    def __call__(self, event: Any, *arguments: Any, **named: Any) -> Any: ...

class Rest:
    awaitable: Any

class Coroutine:
    def __init__(self, stage: Any, find: Callable[[], Any]) -> None: ...
    def __call__(self, event: Any, coroutine: Any) -> Any: ...

class Items:
    sent: Any
    thrown: BaseException
    value: Any
    over: bool
    def __init__(self, items: Any, inner: Any, find: Callable[[], Any]) -> None: ...
    def __call__(self) -> Any: ...

class Steps:
    took: int
    def __init__(
        self,
        run: Any,
        find: Callable[[], Any],
        whole: Callable[[Any, Callable[[Any], Any], Any], Any],
    ) -> None: ...
    def __call__(
        self, lazy: Any, function: Callable[[Any], Any], argument: Any
    ) -> Any: ...

class AsyncItems:
    sent: Any
    thrown: BaseException
    rest: Any
    made: Any
    over: bool
    def __init__(self, items: Any, inner: Any, find: Callable[[], Any]) -> None: ...
    def __call__(self) -> Any: ...

class LightTurn:
    def __getattr__(self, name: str) -> Any: ...
    def __setattr__(self, name: str, value: Any) -> None: ...

class Pauses:
    total: int

    def __call__(self, phase: str, info: object) -> None: ...

def bind(**names: Any) -> None: ...
def clock() -> int: ...
def count_in(
    samples: array[int], bounds: array[int], width: int
) -> tuple[int, bytes, int, int, int]: ...
def use_clock(clock: Callable[[], int] | None) -> None: ...
