"""Tools that the tests share: an OTLP receiver, and programs run as subprocesses."""

from __future__ import annotations

from .data import (
    ReceivedBuckets,
    ReceivedEvent,
    ReceivedExemplar,
    ReceivedLink,
    ReceivedLog,
    ReceivedPoint,
    ReceivedRequest,
    ReceivedScope,
    ReceivedSpan,
    ReceivedStatus,
)
from .otlp import OtlpReceiver
from .program import Completed, Program, run_program, start_program

__all__ = [
    "Completed",
    "OtlpReceiver",
    "Program",
    "ReceivedBuckets",
    "ReceivedEvent",
    "ReceivedExemplar",
    "ReceivedLink",
    "ReceivedLog",
    "ReceivedPoint",
    "ReceivedRequest",
    "ReceivedScope",
    "ReceivedSpan",
    "ReceivedStatus",
    "run_program",
    "start_program",
]
