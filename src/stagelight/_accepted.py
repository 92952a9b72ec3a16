"""What each setting accepts, and how the error says it."""

from __future__ import annotations

import math
import re
from typing import TYPE_CHECKING, Any, Final, Literal

from stagelight import _names, _own_names
from stagelight._capture import read_capture
from stagelight._declared import read_stages
from stagelight._refusals import refuse

if TYPE_CHECKING:
    from collections.abc import Callable


def _read_name(value: object, place: str) -> str:
    if (
        isinstance(value, str)
        and value.strip()
        and value.isprintable()
        and len(value) <= _names.MAX_NAME
    ):
        return value
    raise refuse(value, place, f"a text of 1 to {_names.MAX_NAME} characters")


def _texts(value: object, place: str, accepted: str) -> list[str]:
    if isinstance(value, list) and all(isinstance(one, str) for one in value):
        return value
    raise refuse(value, place, f"a list of texts, each {accepted}")


def _read_queues(value: object, place: str) -> tuple[str, ...]:
    accepted = "a glob over names of queues, or !glob to leave some out"
    texts = _texts(value, place, accepted)
    for text in texts:
        if not text.removeprefix("!").strip():
            raise refuse(text, place, accepted)
    return tuple(texts)


def _read_rate(value: object, place: str) -> float | Literal["all"]:
    if value == "all":
        return "all"
    if (
        isinstance(value, (int, float))
        and not isinstance(value, bool)
        and math.isfinite(value)
        and value >= 0
    ):
        return float(value)
    raise refuse(value, place, 'a number from 0 up, or "all"')


def _read_flag(value: object, place: str) -> bool:
    if isinstance(value, bool):
        return value
    raise refuse(value, place, "true or false")


def _read_path(value: object, place: str) -> str:
    if isinstance(value, str) and all(
        part.isidentifier() for part in value.replace("-", "_").split(".")
    ):
        return value
    raise refuse(value, place, "an attribute or key, or several joined as meta.id")


def _read_text(value: object, place: str) -> str:
    if isinstance(value, str) and value.strip():
        return value.strip()
    raise refuse(value, place, "a text")


def _read_ingress(value: object, place: str) -> str:
    if value in {"push", "pull"}:
        return str(value)
    raise refuse(value, place, '"push" or "pull"')


def _read_trace_url(value: object, place: str) -> str:
    if (
        isinstance(value, str)
        and value.startswith(("http://", "https://"))
        and "{trace_id}" in value
    ):
        return value
    raise refuse(
        value,
        place,
        "an http(s) address with {trace_id}, as .../trace/{trace_id}",
    )


def _read_redact(value: object, place: str) -> tuple[str, ...]:
    texts = _texts(value, place, "a regular expression")
    for text in texts:
        try:
            re.compile(text)
        except re.error as error:  # noqa: PERF203 - a handful, once
            raise refuse(text, place, f"a regular expression: {error}") from None
    return tuple(texts)


def _read_detail(value: object, place: str) -> str:
    if value in _own_names.LEVELS:
        return str(value)
    raise refuse(value, place, " or ".join(f'"{one}"' for one in _own_names.LEVELS))


def _read_share(value: object, place: str) -> float:
    if (
        isinstance(value, (int, float))
        and not isinstance(value, bool)
        and 0 <= value <= 1
    ):
        return float(value)
    raise refuse(value, place, "a share from 0 (never) to 1, as 0.02")


def _read_spans(value: object, place: str) -> int | Literal["all"]:
    if value == "all":
        return "all"
    if isinstance(value, int) and not isinstance(value, bool) and value > 0:
        return value
    raise refuse(value, place, 'a whole number from 1 up, or "all"')


def _read_alerts(value: object, place: str) -> bool | dict[str, Any]:
    if isinstance(value, (bool, dict)):
        return value
    raise refuse(value, place, "true, false, or a table")


#: Setting -> what checks a value given at a place.
READERS: Final[dict[str, Callable[[object, str], Any]]] = {
    "pipeline": _read_name,
    "stages": read_stages,
    "queues": _read_queues,
    "journeys_per_second": _read_rate,
    "rescues_per_second": _read_rate,
    "json_logs": _read_flag,
    "event_id": _read_path,
    "capture": read_capture,
    "listen": _read_text,
    "watchdog": _read_text,
    "grpc": _read_text,
    "token": _read_text,
    "ingress": _read_ingress,
    "tap": _read_flag,
    "trace_url": _read_trace_url,
    "redact": _read_redact,
    "alerts": _read_alerts,
    "detail": _read_detail,
    "cost_budget": _read_share,
    "spans_per_trace": _read_spans,
}
