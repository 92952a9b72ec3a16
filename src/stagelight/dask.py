"""Observe the workers of a Dask cluster that is somewhere else.

::

    client.register_plugin(stagelight.dask.StagelightPlugin())

Each worker, now and later, then records its tasks, and exports them as its own
``OTEL_*`` environment says, or as the one given here does. The workers need stagelight
installed. Those of a ``LocalCluster`` need no plugin under ``stagelight run``.
"""

from __future__ import annotations

import os
from typing import TYPE_CHECKING, Any

from distributed.diagnostics.plugin import WorkerPlugin

if TYPE_CHECKING:
    from collections.abc import Mapping

__all__ = ["StagelightPlugin"]


class StagelightPlugin(WorkerPlugin):  # type: ignore[misc]
    """Instruments a worker's process.

    Args:
        environment: Variables for the worker, such as ``OTEL_EXPORTER_OTLP_ENDPOINT``;
            by default this process's own ``OTEL_*`` and ``STAGELIGHT_*``.
        pipeline: Name of the pipeline; by default the client's.
    """

    name = "stagelight-setup"

    def __init__(
        self,
        environment: Mapping[str, str] | None = None,
        pipeline: str | None = None,
    ) -> None:
        from stagelight._register import default_name

        prefixes = ("OTEL_", "STAGELIGHT_")
        self._environment = {
            key: value
            for key, value in (
                os.environ if environment is None else environment
            ).items()
            if environment is not None or key.startswith(prefixes)
        }
        self._pipeline = pipeline or default_name()

    def setup(self, worker: Any) -> None:
        """Observe the process that a worker runs in; once, however many there are."""
        from dataclasses import replace

        from stagelight import _config, _environment, _guard, _setup
        from stagelight.instrumentation import _install
        from stagelight.instrumentation.frameworks import dask

        try:
            for key, value in self._environment.items():
                os.environ.setdefault(key, value)
            if _environment.exporting_wanted():
                _setup.configure(service_name=self._pipeline)
            _install.install(replace(_config.load(), pipeline=self._pipeline))
            dask.attach(worker)
        except Exception as error:  # noqa: BLE001 - never into the worker
            _guard.caught("dask", error)

    def teardown(self, worker: Any) -> None:
        """Send what is left before the worker's process may be gone."""
        from stagelight import _flushing

        del worker
        _flushing.flush_now(1.0)
