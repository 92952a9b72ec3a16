"""Metrics over the slots: observable instruments, and the histogram producer.

The instruments go to whichever meter provider is or becomes the global one. Where the
SDK is imported, now or later, its readers also get our histograms through the seam in
``_producer``; elsewhere each event is recorded by ``Histogram.record``.
"""

from __future__ import annotations

import os
import threading
import weakref
from typing import TYPE_CHECKING, Any, Final

from opentelemetry import metrics

from stagelight import _guard, _names
from stagelight._metrics import _observables
from stagelight._pauses import PAUSES
from stagelight._registry import REGISTRY
from stagelight._renewal import reinit
from stagelight._slots import FALLBACK
from stagelight._spans import RECORD
from stagelight._version import __version__
from stagelight._workers import set_alert

if TYPE_CHECKING:
    from collections.abc import Callable

    from stagelight._records import StageRecord

#: Providers that have our instruments, held weakly where they can be.
_ATTACHED: Final[list[Callable[[], Any]]] = []
#: Meters that take one recording per event.
_RECORDED: Final[list[Any]] = []
_LOCK: Final = threading.Lock()


def attach(provider: metrics.MeterProvider | None = None) -> None:
    """Create our instruments in a meter provider, once.

    Args:
        provider: A provider, or None for the global one, set now or later.
    """
    chosen = provider or metrics.get_meter_provider()
    if not _claim(chosen):
        return
    seam = install_seam(chosen)
    meter = chosen.get_meter(_names.SCOPE, __version__, schema_url=_names.SCHEMA_URL)
    become = getattr(meter, "on_set_meter_provider", None)
    if become is not None:
        # A proxy: the API tells it when the global provider is set.
        def on_set(real: metrics.MeterProvider) -> None:
            if _claim(real):
                fits = install_seam(real)
                become(real)
                if not fits:
                    use_fallback(meter)

        meter.on_set_meter_provider = on_set  # type: ignore[attr-defined]
    _observables.create(meter)
    if not seam:
        use_fallback(meter)


def _claim(provider: Any) -> bool:
    """Whether a provider has no instruments of ours yet; it will have them."""
    with _LOCK:
        _ATTACHED[:] = [one for one in _ATTACHED if one() is not None]
        if any(one() is provider for one in _ATTACHED):
            return False
        try:
            _ATTACHED.append(weakref.ref(provider))
        except TypeError:
            _ATTACHED.append(lambda: provider)
        return True


def install_seam(provider: Any) -> bool:
    """Lead the readers of an SDK provider through the seam, present and future ones.

    Args:
        provider: Any meter provider; one that is not the SDK's is left alone.

    Returns:
        False where it is the SDK's and has no such seam.
    """
    bases = type(provider).__mro__
    if not any(base.__module__.startswith("opentelemetry.sdk.") for base in bases):
        return True  # what it is shows when it collects
    try:
        from stagelight._metrics import _producer

        _producer.install()
        return _producer.rebind(provider)
    except Exception:  # noqa: BLE001 - an SDK with another inside
        return False


def use_fallback(meter: metrics.Meter) -> None:
    """Record each event by ``Histogram.record``: slower, and said once.

    Args:
        meter: Our meter of the provider that takes no ready-made histograms.
    """
    with _LOCK:
        if any(one is meter for one in _RECORDED):
            return
        _RECORDED.append(meter)
    metric = _names.PROCESS_DURATION
    histogram = meter.create_histogram(
        metric.name,
        unit=metric.unit,
        description=metric.description,
        explicit_bucket_boundaries_advisory=list(_names.DURATION_BUCKETS),
    )

    def record(
        stage: StageRecord, outcome: str, error_type: str, seconds: float
    ) -> None:
        attributes = {
            _names.PIPELINE: stage.pipeline.name,
            _names.STAGE: stage.name,
            _names.OUTCOME: outcome,
        }
        if error_type:
            attributes[_names.ERROR_TYPE] = error_type
        histogram.record(seconds, attributes)

    RECORD.append(record)
    set_alert(FALLBACK, on=True)
    _guard.warn_once(
        "fallback",
        "stagelight: this OpenTelemetry meter provider does not take ready-made "
        "histograms; stage durations are recorded one by one from now on, about "
        "10 us each. Supported are the providers of opentelemetry-sdk 1.39 and later.",
    )


def _after_fork() -> None:
    import sys

    reinit([_LOCK])
    producer = sys.modules.get("stagelight._metrics._producer")
    if producer is not None:
        producer.after_fork()


def register() -> None:
    """Attach to the global meter provider as soon as there is a pipeline."""
    _observables.ON_FOREIGN.append(use_fallback)
    REGISTRY.on_first.append(attach)
    REGISTRY.on_first.append(PAUSES.install)


if hasattr(os, "register_at_fork"):
    os.register_at_fork(after_in_child=_after_fork)
