"""Source of the wrappers: one body for each kind of callable.

Our own names begin with one underscore; ``_call.build`` fills in what is in braces.
"""

from __future__ import annotations

from typing import Final

_CALL: Final = """\
def wrapper({parameters}):
    try:
        _slot = _local.slot
    except _AttributeError:
        _slot = _slot_of()
    _worker = _slot.worker
    _alert = _worker.alert
    if _alert or _worker.slot.since:
        _quiet = _worker.quiet
        _start = _clock()
        _turn = _trail = None
        if not _worker.slot.since and _alert < 4 and _tracer.running() is None and (
            (_turn := _claim(_slot, _worker, {event}, _start)) is not None
            if _alert & 2
            else _tracer.due > _start
            and _quiet is not None
            and (_worker.turn is None or _stale(_worker, {event}))
            and not _current()
        ):
            if _turn is None:
                _trail = _worker.trail
                if _trail is not None and (
                    _trail[2] != _id({event})
                    or _trail[1] is _slot
                    or not _goes_on(_trail, _slot, {event})
                ):
                    _trail = _worker.trail = _worker.journey = None
            _token = None
            try:
                _worker.slot = _slot
                _slot.since = _start
                _slot.turn = _turn
                if _alert & 1 and _quiet is not None:
                    _quiet.slot = _slot
                    _token = _set(_quiet)
                _result = {target}({arguments})
                _end = _clock()
            except _BaseException as _error:
                try:
                    _light_fail(_slot, _worker, _trail, _token, _start, _error, {event})
                except _RecursionError:
                    pass
                raise
            if _token is not None:
                _reset(_token)
                if _refs(_quiet) != 3 or _quiet.span is not None or (
                    _end - _start > _slot.slow
                ):
                    _worker.special = True
            if _worker.special:
                try:
                    _light_finish(
                        _slot,
                        _worker,
                        _trail,
                        None if _token is None else _quiet,
                        _start,
                        _end,
                        {event},
                        _result,
                    )
                except _RecursionError:
                    pass
                return _result
            _slot.since = 0
            if _end >= _slot.roll:
                _slot.turn_over(_end)
            _slot.add(_end - _start)
            if _turn is None:
                _worker.trail = (_trail, _slot, _id(_result), None, _start, _end)
            else:
                _slot.turn = None
                _turn.ended = _end
                _turn.slot = _slot
                _turn.outcome = "success"
                _turn.key = _id(_result)
                if _token is not None:
                    _remember(_turn.journey, _slot.stage, _start, _end)
            return _result
        _frame = _enter(_slot, _worker, {event})
        _worker.slot = _slot
        _slot.since = _start = _clock()
        try:
            _result = {target}({arguments})
            _end = _clock()
        except _BaseException as _error:
            try:
                _fail(_slot, _worker, _frame, _start, _error, {event})
            except _RecursionError:
                pass
            raise
        try:
            _finish(_slot, _worker, _frame, _start, _end, {event}, _result)
        except _RecursionError:
            pass
        return _result
    _worker.slot = _slot
    _slot.since = _start = _clock()
    try:
        _result = {target}({arguments})
        _end = _clock()
    except _BaseException as _error:
        try:
            _fail(_slot, _worker, None, _start, _error, {event})
        except _RecursionError:
            pass
        raise
    if _worker.special:
        try:
            _finish(_slot, _worker, None, _start, _end, {event}, _result)
        except _RecursionError:
            pass
        return _result
    _slot.since = 0
    if _end >= _slot.roll:
        _slot.turn_over(_end)
    _slot.add(_end - _start)
    return _result
"""

_COROUTINE: Final = """\
async def wrapper({parameters}):
    _inner = {target}({arguments})
    try:
        _slot = _local.slot
    except _AttributeError:
        _slot = _slot_of()
    _worker = _slot.worker
    if _worker.alert or _worker.slot.since:
        return await _drive(_stage, _inner, {event})
    _worker.slot = _slot
    _slot.since = _start = _clock()
    try:
        _waited = _inner.send(None)
    except _StopIteration as _stop:
        _end = _clock()
        if _worker.special:
            try:
                _finish(_slot, _worker, None, _start, _end, {event}, _stop.value)
            except _RecursionError:
                pass
            return _stop.value
        _slot.since = 0
        if _end >= _slot.roll:
            _slot.turn_over(_end)
        _slot.add(_end - _start)
        return _stop.value
    except _BaseException as _error:
        try:
            _fail(_slot, _worker, None, _start, _error, {event})
        except _RecursionError:
            pass
        raise
    return await _drive_on(_slot, _worker, _inner, _waited, _start, {event})
"""

OLD_COROUTINE: Final = """\
@_coroutine
def wrapper({parameters}):
    return (yield from _drive(_stage, {target}({arguments}), {event}))
"""

# What is sent or thrown in is handed on outside of any ``except`` block: there it
# would become the context of whatever the generator raises. Nothing that passes through
# is kept while the generator is suspended, hence ``_out``.
_GENERATOR: Final = """\
def wrapper({parameters}):
    _items = _begin(_stage, {event})
    _inner = {target}({arguments})
    _out = []
    _sent = _thrown = None
    while True:
        _items.step()
        try:
            if _thrown is None:
                _out.append(_inner.send(_sent))
            else:
                _out.append(_inner.throw(_thrown))
        except _StopIteration as _stop:
            _items.end(None)
            return _stop.value
        except _BaseException as _error:
            _items.end(_error)
            raise
        finally:
            _sent = _thrown = None
        _items.item(_out[0])
        try:
            _sent = yield _out.pop()
        except _BaseException as _error:
            _thrown = _error
"""

_ASYNC_GENERATOR: Final = """\
async def wrapper({parameters}):
    _items = _begin(_stage, {event})
    _inner = {target}({arguments})
    _out = []
    _sent = _thrown = None
    _next = _first_step(_inner)
    while True:
        try:
            _out.append(await _step(_items, _next))
        except _StopAsyncIteration:
            _items.finish(None)
            return
        except _BaseException as _error:
            _items.finish(_error)
            raise
        finally:
            _sent = _thrown = _next = None
        _items.item(_out[0])
        try:
            _sent = yield _out.pop()
        except _BaseException as _error:
            _thrown = _error
        _next = _inner.asend(_sent) if _thrown is None else _inner.athrow(_thrown)
"""

#: What comes first in the body of a call that C may take as a whole.
NATIVE_CALL: Final = """\
def wrapper({parameters}):
    _result = _native({event}, {arguments})
    if _result is not _decline:
        return _result
"""

#: A coroutine whose first step C takes.
NATIVE_COROUTINE: Final = """\
async def wrapper({parameters}):
    _result = _native({event}, {target}({arguments}))
    if _type(_result) is not _Rest:
        return _result
    return await _result.awaitable
"""

#: A generator whose steps C drives. What is sent or thrown in waits there, so that
#: nothing that passes through is kept here; it raises ``Ended`` at the end.
NATIVE_GENERATOR: Final = """\
def wrapper({parameters}):
    _items = _native(_begin(_stage, {event}), {target}({arguments}), _find)
    while True:
        try:
            while True:
                _items.sent = yield _items()
        except _Ended:
            return _items.value
        except _BaseException as _error:
            if _items.over:
                raise
            _items.thrown = _error
"""

#: The same for an asynchronous one. What C cannot make at once is awaited outside of
#: any ``except`` block.
NATIVE_ASYNC_GENERATOR: Final = """\
async def wrapper({parameters}):
    _items = _native(_begin(_stage, {event}), {target}({arguments}), _find)
    while True:
        try:
            while True:
                _items.sent = yield _items()
        except _Ended:
            return
        except _Waits:
            pass
        except _BaseException as _error:
            if _items.over:
                raise
            _items.thrown = _error
            continue
        await _items.rest
"""

#: Kind -> body.
BODIES: Final = {
    "call": _CALL,
    "coroutine": _COROUTINE,
    "generator": _GENERATOR,
    "async generator": _ASYNC_GENERATOR,
}
