"""The doctor on the real stack: what works, and each thing that can be broken."""

from __future__ import annotations

import time
from contextlib import contextmanager

import pytest

from harness import run_program
from harness.backends import eventually
from harness.command import Diagnosis, diagnose, run_command
from harness.timing import least
from realstack import ROOT, Server, free_port, get
from realstack.build import find
from realstack.stack import Ports, collector, prometheus_config

#: Whether the repository ships alerts on stages and queues.
RULES = any(
    "stagelight_queue_" in path.read_text()
    for path in (ROOT / "ops" / "rules").glob("*.yml")
)
TOKEN = "t0p-s3cret-k3y"


def addresses(stack, **other):
    """The doctor's options for a stack, with some of them changed."""
    own = f"http://127.0.0.1:{stack.ports.collector_self}/metrics"
    urls = {
        "jaeger": stack.jaeger_url,
        "prometheus": stack.prometheus_url,
        "collector": own,
        "timeout": "60",
        **other,
    }
    return [word for key, value in urls.items() for word in (f"--{key}", value)]


@contextmanager
def another_prometheus(stack, folder, *flags, rules=True):
    """A second Prometheus on the same collector, and its address."""
    ports = Ports.free()
    config = prometheus_config(folder, stack.ports, "1s")
    if not rules:
        config.write_text(config.read_text().replace("- rules/*.yml", "- none/*.yml"))
    server = Server(
        "prometheus",
        [
            str(find("prometheus")),
            f"--config.file={config}",
            f"--storage.tsdb.path={folder / 'data'}",
            f"--web.listen-address=127.0.0.1:{ports.prometheus}",
            *flags,
        ],
        ready=f"http://127.0.0.1:{ports.prometheus}/-/ready",
        folder=folder,
    )
    with server:
        yield f"http://127.0.0.1:{ports.prometheus}"


@contextmanager
def another_collector(stack, folder, change=lambda text: text, env=None):
    """A second collector, with the same backends and a changed configuration."""
    ports = Ports.free()
    config = folder / "config.yaml"
    config.write_text(change((ROOT / "collector-config.yaml").read_text()))
    own = {"JAEGER_OTLP_ENDPOINT": f"127.0.0.1:{stack.ports.jaeger_otlp}"}
    with collector(folder, ports, {**own, **(env or {})}, config):
        yield ports


@pytest.mark.parametrize("protocol", ["http/protobuf", "grpc"])
def test_everything_works(stack, log_backend, protocol):
    """On the stack as shipped each hop is fine, and the log record arrives."""
    log_backend.clear()
    env = {
        "OTEL_EXPORTER_OTLP_ENDPOINT": (
            stack.grpc_url if protocol == "grpc" else stack.otlp_url
        ),
        "OTEL_EXPORTER_OTLP_PROTOCOL": protocol,
        # What belongs to the user's service must not become the probe's.
        "OTEL_SERVICE_NAME": "orders",
        "OTEL_TRACES_SAMPLER": "traceidratio",
        "OTEL_TRACES_SAMPLER_ARG": "0.0",
        "OTEL_EXPORTER_OTLP_HEADERS": f"api-key={TOKEN}",
    }
    found = diagnose(*addresses(stack), env=env)
    assert (found.code, found.ok) == (0, True), found.text
    wrong = {hop for hop, status in found.statuses().items() if status != "ok"}
    assert wrong == (set() if RULES else {"rules"}), found.text
    assert set(found.statuses()) == {
        *("settings", "export", "collector", "jaeger", "prometheus", "exemplars"),
        *("rules", "alertmanager", "logs"),
    }
    assert found.of("logs") == [("ok", "passed on by otlp_http/logs")]
    trace_id = found.links["trace"].rpartition("/")[2]
    # Of what ran before on this stack some may arrive only now.
    [record] = log_backend.wait_for(
        lambda: [one for one in log_backend.logs() if one.trace_id == trace_id]
    )
    assert record.event_name == "stagelight.doctor.probe"
    assert record.resource["service.name"] == "stagelight-doctor"
    assert TOKEN not in found.text


def test_the_table_says_the_same(stack):
    """For people it is a table of one line or two for each finding, without colours."""
    env = {"OTEL_EXPORTER_OTLP_ENDPOINT": stack.otlp_url}
    done = run_command("doctor", *addresses(stack), env=env)
    assert done.returncode == 0, done
    hops = [line.split()[:2] for line in done.stdout.splitlines() if line[:1] != " "]
    assert ["ok", "jaeger"] in hops
    assert ["ok", "exemplars"] in hops
    assert "\x1b" not in done.stdout
    assert not any(line.endswith(" ") for line in done.stdout.splitlines())


def test_the_collector_s_own_port_is_not_published(stack, prometheus):
    """Without it the collector's counters are read from Prometheus's scrapes."""
    options = addresses(stack)
    at = options.index("--collector")
    del options[at : at + 2]
    env = {"OTEL_EXPORTER_OTLP_ENDPOINT": stack.otlp_url}
    assert eventually(lambda: prometheus.query('{__name__=~"otelcol_.+"}'))
    # Somebody may listen on 8888, which is the default.
    program = f"""
        from stagelight import _doctor
        from stagelight.cli import main
        _doctor._PORTS["collector"] = ":{free_port()}/metrics"
        main()
    """
    found = Diagnosis(run_program(program, "doctor", "--json", *options, env=env))
    assert found.statuses()["collector"] == "ok", found.text
    assert len(found.of("collector")) == 3
    assert found.of("logs") == [("ok", "passed on by otlp_http/logs")]


@pytest.mark.parametrize(
    ("wrong", "right"), [("http/protobuf", "grpc"), ("grpc", "http/protobuf")]
)
def test_the_wrong_port_for_the_protocol(stack, wrong, right):
    """The other protocol at the port is recognised, whatever the port's number."""
    url = stack.grpc_url if wrong == "http/protobuf" else stack.otlp_url
    env = {
        "OTEL_EXPORTER_OTLP_ENDPOINT": url,
        "OTEL_EXPORTER_OTLP_PROTOCOL": wrong,
        "OTEL_EXPORTER_OTLP_HEADERS": f"authorization=Bearer%20{TOKEN}",
    }
    found = None

    def ask() -> float:
        nonlocal found
        began = time.monotonic()
        found = diagnose(*addresses(stack), env=env)
        return time.monotonic() - began

    assert least(ask, 20) < 20
    assert found.code == 1
    [(status, text)] = found.of("export")
    assert status == "failed"
    assert text.startswith("traces, metrics, logs are not taken by")
    assert f"{right} is spoken there" in found.advice("export")
    assert f"OTEL_EXPORTER_OTLP_PROTOCOL={right}" in found.advice("export")
    assert found.statuses()["jaeger"] == "skipped"
    assert TOKEN not in found.text


def test_differences_into_prometheus(stack):
    """Delta temporality is named, and what it costs."""
    env = {
        "OTEL_EXPORTER_OTLP_ENDPOINT": stack.otlp_url,
        "OTEL_EXPORTER_OTLP_METRICS_TEMPORALITY_PREFERENCE": "delta",
    }
    found = diagnose(*addresses(stack), env=env)
    assert found.statuses()["prometheus"] == "warning", found.text
    assert "TEMPORALITY_PREFERENCE=cumulative" in found.advice("prometheus")
    assert found.code == 0
    assert diagnose("--strict", *addresses(stack), env=env).code == 1


def test_the_missing_exemplar_flag(stack, tmp_path):
    """A Prometheus without the flag is told from a collector without OpenMetrics."""
    env = {"OTEL_EXPORTER_OTLP_ENDPOINT": stack.otlp_url}
    with another_prometheus(stack, tmp_path, rules=False) as url:
        found = diagnose(*addresses(stack, prometheus=url), env=env)
    assert found.statuses()["prometheus"] == "ok", found.text
    assert found.statuses()["exemplars"] == "warning"
    assert "--enable-feature=exemplar-storage" in found.advice("exemplars")
    # The same one has no rules.
    assert found.statuses()["rules"] == "warning"
    assert "rule_files" in found.advice("rules")
    assert found.statuses()["alertmanager"] == "ok"


def test_a_collector_without_open_metrics(stack, tmp_path):
    """Exemplars that the collector does not show are blamed on the collector."""
    flag = "enable_open_metrics: true"

    def change(text):
        assert flag in text
        return text.replace(flag, "enable_open_metrics: false")

    (tmp_path / "c").mkdir()
    (tmp_path / "p").mkdir()
    with another_collector(stack, tmp_path / "c", change) as ports:
        moved = type("Moved", (), {"ports": ports})()
        flags = "--enable-feature=exemplar-storage"
        with another_prometheus(moved, tmp_path / "p", flags) as url:
            own = f"http://127.0.0.1:{ports.collector_self}/metrics"
            env = {"OTEL_EXPORTER_OTLP_ENDPOINT": f"http://127.0.0.1:{ports.otlp_http}"}
            found = diagnose(*addresses(stack, prometheus=url, collector=own), env=env)
    assert found.statuses()["prometheus"] == "ok", found.text
    assert flag in found.advice("exemplars")


def test_no_log_backend_and_no_jaeger(stack, tmp_path):
    """A collector that only prints logs, and whose Jaeger is away, is seen as such."""
    env = {"JAEGER_OTLP_ENDPOINT": "127.0.0.1:9"}
    with another_collector(stack, tmp_path, env=env) as ports:
        own = f"http://127.0.0.1:{ports.collector_self}/metrics"
        found = diagnose(
            *addresses(stack, prometheus="none", collector=own, timeout="15"),
            env={"OTEL_EXPORTER_OTLP_ENDPOINT": f"http://127.0.0.1:{ports.otlp_http}"},
        )
    assert found.code == 1
    assert found.statuses()["export"] == "ok"
    assert found.statuses()["jaeger"] == "failed"
    assert "the collector has not sent it on" in found.of("jaeger")[0][1]
    assert "otlp_grpc/jaeger" in found.advice("collector")
    assert found.statuses()["logs"] == "warning"
    assert "LOGS_EXPORTERS" in found.advice("logs")


def test_prometheus_cannot_reach_the_collector(stack, tmp_path):
    """A failing scrape is shown with Prometheus's own reason."""
    gone = type("Gone", (), {"ports": Ports.free()})()
    env = {"OTEL_EXPORTER_OTLP_ENDPOINT": stack.otlp_url}
    with another_prometheus(gone, tmp_path) as url:
        assert eventually(lambda: '"health":"down"' in get(f"{url}/api/v1/targets"))
        found = diagnose(*addresses(stack, prometheus=url, timeout="3"), env=env)
    assert found.code == 1
    [(status, text), *_] = found.of("prometheus")
    assert status == "failed"
    assert "connection refused" in text
    assert "localhost inside a container" in found.advice("prometheus")


def test_backends_that_are_not_there(stack):
    """Wrong addresses are failures with the option that corrects them."""
    env = {"OTEL_EXPORTER_OTLP_ENDPOINT": stack.otlp_url}
    nowhere = dict.fromkeys(
        ("jaeger", "prometheus", "collector"), f"http://user:{TOKEN}@127.0.0.1:9"
    )
    found = diagnose(*addresses(stack, timeout="2", **nowhere), env=env)
    assert found.code == 1
    for name in nowhere:
        assert found.statuses()[name] == "failed", name
        assert f"--{name}" in found.advice(name)
    assert TOKEN not in found.text
