"""compose.yaml: loaded by the loader of `docker compose config`, and as we want it."""

from __future__ import annotations

import json
import os
import re
import subprocess

import pytest
import yaml

from realstack import ROOT, Unavailable, build, find
from realstack.build import COLLECTOR

PROFILES = ("grafana", "logs")


@pytest.fixture(scope="module")
def services():
    """All services, as compose understands the file."""
    try:
        loader = build("compose")
    except Unavailable as error:
        pytest.skip(str(error))
    done = subprocess.run(
        [str(loader), "-format", "json", str(ROOT / "compose.yaml")],
        env={**os.environ, "COMPOSE_PROFILES": ",".join(PROFILES)},
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.returncode == 0, done.stderr
    document = json.loads(done.stdout)
    assert set(document["volumes"]) == {
        volume["source"]
        for service in document["services"].values()
        for volume in service.get("volumes", ())
        if volume["type"] == "volume"
    }
    return document["services"]


def test_services(services):
    """Everything that the stack has is there, Grafana and Loki too."""
    written = yaml.safe_load((ROOT / "compose.yaml").read_text())["services"]
    assert set(written) >= set(services)
    assert {"collector", "jaeger", "prometheus", "alertmanager"} <= set(services)
    assert {written[name]["profiles"][0] for name in ("grafana", "loki")} == {*PROFILES}


def test_ports_on_loopback(services):
    """No port is reachable from outside of the machine."""
    published = [
        port for service in services.values() for port in service.get("ports", ())
    ]
    assert {port["host_ip"] for port in published} == {"127.0.0.1"}
    assert len({port["published"] for port in published}) == len(published)
    assert {4317, 4318, 16686, 9090, 9093} <= {port["target"] for port in published}


def test_hardened(services):
    """Read-only, without capabilities, with limits, unable to gain privileges."""
    for name, service in services.items():
        assert service["cap_drop"] == ["ALL"], name
        assert service["read_only"], name
        assert service["security_opt"] == ["no-new-privileges:true"], name
        if name != "volumes":
            assert "cap_add" not in service, name
            assert "user" not in service, name
            assert service["mem_limit"], name
            assert service["logging"]["options"]["max-size"], name
    assert services["volumes"]["cap_add"] == ["CHOWN"]
    assert services["volumes"]["network_mode"] == "none"


def test_waits(services):
    """`up --wait` has a health check to wait for, or an end that others wait for."""
    one_shot, unchecked = {"volumes"}, {"collector", "loki"}
    for name, service in services.items():
        if name not in one_shot | unchecked:
            assert service["healthcheck"]["test"][0] == "CMD", name
    assert services["collector-health"]["network_mode"] == "service:collector"
    waiting = {
        name
        for name, service in services.items()
        if service.get("depends_on", {}).get("volumes", {}).get("condition")
        == "service_completed_successfully"
    }
    assert {"collector", "jaeger"} <= waiting


def test_mounts(services):
    """Every file that is mounted is in the repository, and is mounted read-only."""
    bound = [
        volume
        for service in services.values()
        for volume in service.get("volumes", ())
        if volume["type"] == "bind"
    ]
    assert bound
    for volume in bound:
        assert os.path.exists(volume["source"]), volume["source"]  # noqa: PTH110
        assert volume["read_only"]


def test_pinned(services):
    """Each image has an exact version."""
    for name, service in services.items():
        assert re.search(r":v?\d+\.\d+\.\d+$", service["image"]), name


def test_versions_are_the_tested_ones(services):
    """The collector's image is of the version that the tests build and run."""
    manifest = yaml.safe_load((COLLECTOR / "manifest.yaml").read_text())
    version = manifest["dist"]["version"]
    image = services["collector"]["image"]
    assert image == f"otel/opentelemetry-collector-contrib:{version}"
    own = {
        entry["gomod"].split()[1]
        for kind in ("receivers", "processors", "exporters", "connectors", "extensions")
        for entry in manifest[kind]
        if "loadbalancing" not in entry["gomod"]
    }
    assert own == {f"v{version}"}


def test_environment_is_known(services):
    """Each variable that a container is given is one that its configuration reads."""
    files = {"collector": "collector-config.yaml", "jaeger": "ops/jaeger.yaml"}
    for name, path in files.items():
        read = set(re.findall(r"\$\{env:(\w+)", (ROOT / path).read_text()))
        given = set(services[name]["environment"])
        assert given - read <= {"GOMEMLIMIT", "OTEL_TRACES_SAMPLER"}


def test_container_addresses(services, otelcol):
    """The collector accepts its file with the container's environment."""
    done = subprocess.run(
        [str(otelcol), "validate", "--config", str(ROOT / "collector-config.yaml")],
        env={**os.environ, **services["collector"]["environment"]},
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.returncode == 0, done.stderr


def test_prometheus_flags(services):
    """The flags of the container are flags that the tested Prometheus has."""
    try:
        program = find("prometheus")
    except Unavailable as error:
        pytest.skip(str(error))
    done = subprocess.run(
        [str(program), "--help"], capture_output=True, text=True, check=False
    )
    for flag in services["prometheus"]["command"]:
        assert flag.partition("=")[0] in done.stdout + done.stderr
