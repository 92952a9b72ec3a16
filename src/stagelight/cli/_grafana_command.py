"""``stagelight grafana``: the dashboard as JSON."""

from __future__ import annotations

import json

import click

from stagelight import _grafana


@click.command()
def grafana() -> None:
    """Print a Grafana dashboard of all pipelines, as JSON to import.

    It asks Prometheus for what the collector's exporter gives it; its dots lead to
    traces where the data source has exemplarTraceIdDestinations.
    """
    click.echo(json.dumps(_grafana.dashboard(), indent=2))
