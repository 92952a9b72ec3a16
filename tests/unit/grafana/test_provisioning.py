from __future__ import annotations

import re
from pathlib import Path

import pytest

from stagelight import _names
from stagelight._promql import label, series

yaml = pytest.importorskip("yaml")

OPS = Path(__file__).parents[3] / "ops" / "grafana"
SOURCES = OPS / "provisioning" / "datasources" / "stagelight.yaml"
PROVIDERS = OPS / "provisioning" / "dashboards" / "stagelight.yaml"
COMPOSE = OPS.parents[1] / "compose.yaml"


def sources():
    """The provisioned data sources by their uid."""
    document = yaml.safe_load(SOURCES.read_text(encoding="utf-8"))
    return {one["uid"]: one for one in document["datasources"]}


def test_exemplars_lead_to_jaeger():
    """The label that the collector gives exemplars opens Jaeger."""
    [link] = sources()["prometheus"]["jsonData"]["exemplarTraceIdDestinations"]
    assert link == {"name": "trace_id", "datasourceUid": "jaeger"}


def test_each_link_has_an_end():
    """No data source refers to one that is not provisioned."""
    text = SOURCES.read_text(encoding="utf-8")
    named = set(re.findall(r"datasourceUid: (\w+)", text))
    assert named == {"prometheus", "jaeger", "loki"} == set(sources())


def test_queries_of_spans_use_our_names():
    """The metrics behind a span are those that are exported."""
    for one in sources()["jaeger"]["jsonData"]["tracesToMetrics"]["queries"]:
        assert f"{series(_names.CONSUMED)}{{$$__tags" in one["query"]
        assert f"by ({label(_names.STAGE)})" in one["query"]


def test_dashboards_are_where_compose_puts_them():
    """The provider's folder and the sources' variables are those of compose.yaml."""
    grafana = yaml.safe_load(COMPOSE.read_text(encoding="utf-8"))["services"]["grafana"]
    mounted = dict(one.split(":")[:2][::-1] for one in grafana["volumes"])
    [provider] = yaml.safe_load(PROVIDERS.read_text(encoding="utf-8"))["providers"]
    assert mounted[provider["options"]["path"]] == "./ops/grafana/dashboards"
    assert mounted["/etc/grafana/provisioning"] == "./ops/grafana/provisioning"
    used = set(re.findall(r"\$\{(\w+_URL)\}", SOURCES.read_text(encoding="utf-8")))
    assert used <= set(grafana["environment"])
