"""What to change so that a signal gets out."""

from __future__ import annotations

import re
from typing import TYPE_CHECKING, Final

from stagelight._doctor import _settings, _wire

if TYPE_CHECKING:
    from stagelight._doctor._settings import Target

_UNWELCOME: Final = ("401", "403", "UNAUTHENTICATED", "PERMISSION_DENIED")
_NO_SUCH_PATH: Final = ("404", "UNIMPLEMENTED")

#: What the SDK puts around a reason.
_AROUND: Final = (
    re.compile(r"^Transient error "),
    re.compile(r" encountered while exporting [\w ]+?(?= to |,)( to [^,]+)?,"),
    re.compile(r" ?retrying in [\d.]+s\.?"),
    re.compile(r"^Failed to export [\w ]+?(?= to |,|:)( to \S+?)?[,:] "),
)


def shortened(reason: str) -> str:
    """A reason without what the SDK puts around it.

    Args:
        reason: A line of an exporter's log.
    """
    for around in _AROUND:
        reason = around.sub("", reason)
    return reason.strip() or "no answer in time"


def of_export(target: Target, there: frozenset[str] | str, reason: str) -> str:
    """What to change where an exporter does not get through.

    Args:
        target: Where the signal goes.
        there: What is spoken there, or why nobody could be asked.
        reason: What the exporter says.
    """
    name = target.variable or "OTEL_EXPORTER_OTLP_ENDPOINT"
    if isinstance(there, str):
        return _nobody(target, name)
    return _spoken(target, name, there) or _refused(name, reason)


def _nobody(target: Target, name: str) -> str:
    if target.local and _settings.in_container():
        return (
            "this looks like a container, where localhost is the container itself: set "
            f"{name} to the collector's service, as in http://collector:{target.port}, "
            "or start a collector in here"
        )
    return f"start a collector there (docker compose up -d --wait), or set {name}"


def _spoken(target: Target, name: str, there: frozenset[str]) -> str:
    if there == {_wire.TLS}:
        return f"TLS is spoken there: write https:// in {name}"
    if there == {_wire.PLAIN}:
        return f"no TLS is spoken there: write http:// in {name}"
    other = _wire.HTTP if target.protocol == _wire.GRPC else _wire.GRPC
    if there == {other}:
        return f"{other} is spoken there: " + _settings.wrong_protocol(target, other)
    return ""


def _refused(name: str, reason: str) -> str:
    if any(word in reason for word in _UNWELCOME):
        return (
            "the key is wrong or missing: see OTEL_EXPORTER_OTLP_HEADERS (write spaces "
            "as %20), and the region of the endpoint"
        )
    if any(word in reason for word in _NO_SUCH_PATH):
        return f"nothing takes OTLP at this path: see {name}"
    if "CERTIFICATE" in reason.upper():
        return "name the authority's file in OTEL_EXPORTER_OTLP_CERTIFICATE"
    return "see the log of what listens there"
