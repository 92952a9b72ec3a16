"""What the extension module has to know of the record path, and which calls it takes.

It reads and writes the slots of these classes in place, does plain calls, and leaves
all else to these functions.
"""

from __future__ import annotations

import _thread
from array import array
from typing import TYPE_CHECKING, Any, Final

from opentelemetry.context import Context

from stagelight import _names
from stagelight._async_items import first_step, rest
from stagelight._current import CURRENT, Rested
from stagelight._deferred import remember
from stagelight._distribution import BATCH
from stagelight._driving import drive, drive_on
from stagelight._extension import NATIVE
from stagelight._frames import fail, finish
from stagelight._items import Items
from stagelight._journey import FAN_OUT, TASK_TURN
from stagelight._light import light_fail, light_finish
from stagelight._quiet import Quiet
from stagelight._runs import Run
from stagelight._slots import DETAILED, Slot, Worker
from stagelight._tracer import TRACER, Tracer
from stagelight._trail import claim, claim_in_task, stale, task_journey

if TYPE_CHECKING:
    from collections.abc import Callable

    from stagelight._records import Kind, StageRecord


def _bound() -> bool:
    if NATIVE is None:
        return False
    try:
        NATIVE.bind(
            Buffer=array,
            Context=Context,
            Items=Items,
            Quiet=Quiet,
            Rested=Rested,
            Run=Run,
            Slot=Slot,
            Tracer=Tracer,
            Worker=Worker,
            batch=BATCH,
            claim=claim,
            claim_in_task=claim_in_task,
            current=CURRENT,
            detailed=DETAILED,
            drive=drive,
            drive_on=drive_on,
            fail=fail,
            fan_out=FAN_OUT,
            finish=finish,
            first_step=first_step,
            items_end=Items.end,
            items_item=Items.item,
            items_step=Items.step,
            light_fail=light_fail,
            light_finish=light_finish,
            remember=remember,
            rest=rest,
            stale=stale,
            success=_names.SUCCESS,
            task_journey=task_journey,
            task_turn=TASK_TURN.variable,
            tracer=TRACER,
        )
    except (AttributeError, TypeError):
        return False  # it was built for other versions of these classes
    return True


#: What ``threading.local`` is where nobody patched it.
_LOCAL: Final = _thread._local  # noqa: SLF001 - the only name that is never patched
#: Whether calls can be recorded in C.
BOUND: Final = _bound()


def native_steps(run: Run, whole: Callable[..., Any]) -> Any:
    """What does the steps of a call that somebody else drives in C, or None.

    Args:
        run: The call.
        whole: Does a step that is not plain.
    """
    stage = run.stage
    if not BOUND or type(stage.local) is not _LOCAL:
        return None
    return NATIVE.Steps(run, stage.slot, whole)


def native_names(
    stage: StageRecord,
    kind: Kind,
    target: Callable[..., Any],
    twin: Callable[[], Any] | None,
) -> dict[str, Any]:
    """What a wrapper needs to record its plain calls in C; nothing where it cannot.

    Args:
        stage: Where its calls are recorded. Threads that are not the interpreter's,
            as those of gevent, have slots that only Python finds.
        kind: How its calls run.
        target: The function to run.
        twin: Gives the object whose ``process`` is to run instead.
    """
    if not BOUND or type(stage.local) is not _LOCAL:
        return {}
    if kind == "call":
        call = NATIVE.Call(target, stage.slot, twin)
        return {"_native": call, "_decline": NATIVE.DECLINE}
    if kind == "generator":
        return {"_native": NATIVE.Items, "_find": stage.slot, "_Ended": NATIVE.Ended}
    if kind == "async generator":
        raised = {"_Ended": NATIVE.Ended, "_Waits": NATIVE.Waits}
        return {"_native": NATIVE.AsyncItems, "_find": stage.slot, **raised}
    taken = NATIVE.Coroutine(stage, stage.slot)
    return {"_native": taken, "_Rest": NATIVE.Rest, "_type": type}
