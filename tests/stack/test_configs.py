"""The real programs accept every configuration file, and refuse a wrong one."""

from __future__ import annotations

import os
import re
import subprocess
import time

import pytest
import yaml

from harness import OtlpReceiver
from harness.backends import eventually
from harness.sender import Sender
from realstack import ROOT, Ports, Unavailable, build, find, get_json
from realstack.build import COLLECTOR
from realstack.stack import collector, prometheus_config

OPS = ROOT / "ops"
VENDOR = {
    "TRACES_EXPORTERS": "[otlp_http/vendor]",
    "METRICS_EXPORTERS": "[otlp_http/vendor]",
    "LOGS_EXPORTERS": "[otlp_http/vendor]",
    "VENDOR_OTLP_ENDPOINT": "https://otlp.example.com",
    "VENDOR_OTLP_HEADERS": "{api-key: secret, x-dataset: orders}",
}


def tool(name):
    """A system program's path, or a skip."""
    try:
        return str(find(name))
    except Unavailable as error:
        pytest.skip(str(error))


def validate(otelcol, config, **env):
    """Let the collector judge a file."""
    command = [str(otelcol), "validate", "--config", str(config)]
    return subprocess.run(
        command, env={**os.environ, **env}, capture_output=True, text=True, check=False
    )


@pytest.mark.parametrize(
    ("name", "env"),
    [
        ("collector-config.yaml", {}),
        ("collector-config.yaml", VENDOR),
        (
            "collector-config.yaml",
            {
                "TRACES_EXPORTERS": "[otlp_grpc/jaeger, otlp_http/vendor]",
                "LOGS_EXPORTERS": "[otlp_http/logs, debug]",
            },
        ),
        ("ops/collector/agent.yaml", {"GATEWAYS": "[one:4317]"}),
        ("ops/collector/gateway.yaml", {}),
        ("ops/collector/gateway.yaml", {"TRACES_EXPORTERS": "[otlp_grpc/store]"}),
        ("ops/collector/ingest.yaml", {}),
    ],
)
def test_collector_accepts(otelcol, name, env):
    """The collector accepts each of its files, in each of its uses."""
    done = validate(otelcol, ROOT / name, **env)
    assert done.returncode == 0, done.stderr
    assert "deprecated" not in done.stderr


@pytest.mark.parametrize("path", sorted(OPS.glob("jaeger*.yaml")), ids=lambda p: p.stem)
def test_jaeger_accepts(stack, path):
    """Jaeger accepts its file for each storage."""
    command = [str(build("jaeger")), "validate", "--config", str(path)]
    done = subprocess.run(command, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr


def test_documented_variables():
    """Each variable in docs/operating.md is one that the collector's file reads."""
    page = (ROOT / "docs" / "operating.md").read_text()
    config = (ROOT / "collector-config.yaml").read_text()
    rows = re.findall(r"^\| (`[A-Z].*?) \|", page, re.MULTILINE)
    listed = set(re.findall(r"`([A-Z_]+)`", " ".join(rows)))
    assert len(listed) >= 8
    assert listed <= set(re.findall(r"\$\{env:(\w+)", config))


def test_runbook_covers_the_alerts():
    """Each alert of the collector is explained where its runbook_url leads."""
    page = (ROOT / "docs" / "operating.md").read_text()
    rules = yaml.safe_load((OPS / "rules" / "collector.yml").read_text())
    for group in rules["groups"]:
        for rule in group["rules"]:
            assert f"**{rule['alert']}**" in page


def test_collector_refuses(otelcol):
    """An exporter that is misspelt in the environment is refused by name."""
    config = ROOT / "collector-config.yaml"
    done = validate(otelcol, config, TRACES_EXPORTERS="[otlp_grpc/jeager]")
    assert done.returncode == 1
    assert "otlp_grpc/jeager" in done.stderr


def test_secret_stays_in(otelcol, tmp_path):
    """A vendor's key is in no line of the collector, whatever the vendor answers."""
    config = ROOT / "collector-config.yaml"
    for words in ("validate", "print-config"):
        command = [str(otelcol), words, "--config", str(config)]
        env = {**os.environ, **VENDOR}
        done = subprocess.run(
            command, env=env, capture_output=True, text=True, check=False
        )
        assert done.returncode == 0, done.stderr
        assert "secret" not in done.stdout + done.stderr
    ports = Ports.free()
    with OtlpReceiver() as vendor:
        env = {**VENDOR, "VENDOR_OTLP_ENDPOINT": vendor.http_endpoint}
        vendor.answer(401)
        with collector(tmp_path, ports, env) as server:
            with Sender(f"http://127.0.0.1:{ports.otlp_http}", "secretive") as sender:
                sender.wait_until(100)
            log = server.log.read_text
            assert eventually(
                lambda: vendor.headers and "HTTP Status Code 401" in log()
            )
            assert {seen.get("api-key") for seen in vendor.headers} == {"secret"}
        vendor.refuse()
        assert "secret" not in log().replace("secretive", "")


def test_one_screen():
    """The collector's file fits on about one screen."""
    assert len((ROOT / "collector-config.yaml").read_text().splitlines()) <= 60


def test_no_batch_processor():
    """No file uses the batch processor, which loses what it holds and is going away."""
    for path in [ROOT / "collector-config.yaml", *OPS.rglob("*.yaml")]:
        if "processors" in (document := yaml.safe_load(path.read_text()) or {}):
            assert not any(
                name.partition("/")[0] == "batch" for name in document["processors"]
            )


def test_build_is_locked():
    """The collector is built from the modules that its manifest names."""
    manifest = yaml.safe_load((COLLECTOR / "manifest.yaml").read_text())
    named = {
        tuple(entry["gomod"].split())
        for kind in ("receivers", "processors", "exporters", "connectors", "extensions")
        for entry in manifest[kind]
    }
    locked = set(
        re.findall(
            r"^\s+(\S+) (v\S+)$", (COLLECTOR / "go.mod").read_text(), re.MULTILINE
        )
    )
    assert named <= locked


def test_prometheus_accepts(tmp_path):
    """Promtool accepts Prometheus's file and rules."""
    tool("promtool")
    for config in (OPS / "prometheus.yml", prometheus_config(tmp_path, Ports())):
        command = [tool("promtool"), "check", "config", str(config)]
        done = subprocess.run(command, capture_output=True, text=True, check=False)
        assert done.returncode == 0, done.stdout + done.stderr


def test_prometheus_2_and_3():
    """Nothing in Prometheus's file is unknown to 2.42 or gone in 3.x."""
    document = yaml.safe_load((OPS / "prometheus.yml").read_text())
    assert set(document) == {"global", "rule_files", "alerting", "scrape_configs"}
    assert set(document["global"]) == {"scrape_interval", "evaluation_interval"}
    for job in document["scrape_configs"]:
        assert set(job) <= {"job_name", "honor_labels", "static_configs"}


def test_alertmanager_accepts():
    """Amtool accepts Alertmanager's file."""
    command = [tool("amtool"), "check-config", str(OPS / "alertmanager.yml")]
    done = subprocess.run(command, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stdout + done.stderr


def test_collector_rules():
    """The collector's alerts fire on trouble, and are quiet without."""
    tests = ROOT / "tests" / "stack" / "collector_rules.yml"
    command = [tool("promtool"), "test", "rules", str(tests)]
    done = subprocess.run(command, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stdout + done.stderr


def test_rules_are_loaded(stack):
    """Every rule in the folder is loaded, and none is in error."""
    groups = get_json(f"{stack.prometheus_url}/api/v1/rules")["data"]["groups"]
    loaded = {rule["name"] for group in groups for rule in group["rules"]}
    written = {
        rule.get("alert") or rule["record"]
        for path in (OPS / "rules").glob("*.yml")
        for group in yaml.safe_load(path.read_text())["groups"]
        for rule in group["rules"]
    }
    assert written
    assert loaded == written
    eventually(
        lambda: all(
            rule["health"] == "ok"
            for group in get_json(f"{stack.prometheus_url}/api/v1/rules")["data"][
                "groups"
            ]
            for rule in group["rules"]
        )
    )
    groups = get_json(f"{stack.prometheus_url}/api/v1/rules")["data"]["groups"]
    assert [
        (rule["name"], rule["lastError"])
        for group in groups
        for rule in group["rules"]
        if rule.get("lastError")
    ] == []


def test_alerts_reach_alertmanager(stack):
    """Prometheus knows the Alertmanager, and scrapes both faces of the collector."""
    url = f"{stack.prometheus_url}/api/v1/alertmanagers"

    def known():
        return [one["url"] for one in get_json(url)["data"]["activeAlertmanagers"]]

    eventually(known)
    assert known() == [f"{stack.alertmanager_url}/api/v2/alerts"]

    def up():
        targets = get_json(f"{stack.prometheus_url}/api/v1/targets")["data"]
        return {one["labels"]["job"]: one["health"] for one in targets["activeTargets"]}

    eventually(lambda: set(up().values()) == {"up"})
    assert up() == {"pipelines": "up", "collector": "up"}


def test_monitor_tab(stack, jaeger):
    """Jaeger's Monitor tab has data: rates of stages, by its metrics API."""
    with Sender(stack.otlp_url, "monitored") as sender:
        sender.wait_until(100)
    now = int(time.time() * 1000)

    def rates():
        found = get_json(
            f"{stack.jaeger_url}/api/metrics/calls?service=monitored&spanKind=internal"
            f"&endTs={now + 60000}&lookback=600000&step=5000&ratePer=60000"
        )
        return [
            point["gaugeValue"]["doubleValue"]
            for metric in found.get("metrics", ())
            for point in metric.get("metricPoints", ())
        ]

    assert eventually(rates, timeout=60)
