"""How the doctor reads answers; the real backends are in tests/stack."""

from __future__ import annotations

import json
import threading
import time
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer

import pytest

from stagelight._doctor import _collector, _http, _jaeger, _logs, _prometheus
from stagelight._doctor._findings import Report
from stagelight._doctor._probe import Probe
from stagelight.alerts import default_rules


@pytest.fixture
def serve():
    """Serve answers by path: JSON, text, or a status."""
    servers = []

    def start(answers):
        class Handler(BaseHTTPRequestHandler):
            def do_GET(self):
                seen.append((self.path, dict(self.headers)))
                answer = answers.get(self.path.partition("?")[0], 404)
                status = answer if isinstance(answer, int) else 200
                body = answer if isinstance(answer, str) else json.dumps(answer)
                self.send_response(status)
                self.end_headers()
                self.wfile.write(body.encode())

            def log_message(self, *args):
                pass

        seen = []
        server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
        thread = threading.Thread(target=server.serve_forever, args=(0.01,))
        thread.start()
        servers.append((server, thread))
        return f"http://127.0.0.1:{server.server_port}", seen

    yield start
    for server, thread in servers:
        server.shutdown()
        thread.join()
        server.server_close()


PROBE = Probe(
    trace_id="a" * 32,
    instance="i-1",
    taken={"traces", "metrics", "logs"},
    sent_at=1000.0,
)
SELF = """# TYPE otelcol_receiver_accepted_spans_total counter
otelcol_receiver_accepted_spans_total{receiver="otlp",transport="http"} %d
otelcol_receiver_accepted_spans_total{receiver="otlp",transport="grpc"} 1
otelcol_receiver_accepted_metric_points{receiver="otlp"} 5
otelcol_exporter_sent_spans_total{exporter="otlp_grpc/jaeger"} %d
otelcol_exporter_send_failed_metric_points_total{exporter="prometheus"} 2
otelcol_exporter_queue_size{exporter="otlp_grpc/jaeger"} %d
"""


def told(report):
    """Status and text of each finding."""
    return [(one.status, one.text) for one in report.findings]


def test_the_collector_s_counters(serve, monkeypatch):
    """Counters count with and without _total, by what they grew, by component."""
    monkeypatch.setattr(_collector, "_PATIENCE", 0.1)
    url, _ = serve({"/metrics": SELF % (7, 4, 3)})
    report = Report()
    source = _collector.source(report, f"{url}/metrics", "", 1, asked=True)
    source.before = {
        ("receiver_accepted_spans", "otlp"): 6.0,
        ("exporter_sent_spans", "otlp_grpc/jaeger"): 2.0,
        ("receiver_accepted_metric_points", "otlp"): 5.0,
    }
    passed = _collector.check(report, source, PROBE)
    assert told(report) == [
        ("ok", "took 2 spans, sent on by otlp_grpc/jaeger"),
        ("failed", "its exporter prometheus could not send metric points on"),
        (
            "warning",
            (
                "it counted no metric points, though somebody took them: another "
                "collector?"
            ),
        ),
        (
            "warning",
            "it counted no log records, though somebody took them: another collector?",
        ),
        (
            "warning",
            (
                "the queue before otlp_grpc/jaeger is not empty: its backend is slow "
                "or away"
            ),
        ),
    ]
    assert passed.waiting == ["otlp_grpc/jaeger"]


def test_counters_show_first_what_somebody_else_sent():
    """What was sent on before the probe was counted as taken: it is not the probe's."""
    sent = {
        ("exporter_sent_spans", "jaeger"): 4.0,
        ("exporter_sent_metric_points", "prometheus"): 4.0,
        ("exporter_sent_log_records", "loki"): 4.0,
    }
    taken = {
        (f"receiver_accepted_{items}", "otlp"): 2.0
        for items in ("spans", "metric_points", "log_records")
    }
    looks = iter([sent, sent | taken])
    source = _collector.Source(lambda: next(looks), 60, {})
    report = Report()
    _collector.check(report, source, PROBE)
    assert told(report) == [
        ("ok", "took 2 spans, sent on by jaeger"),
        ("ok", "took 2 metric points, sent on by prometheus"),
        ("ok", "took 2 log records, sent on by loki"),
    ]


@pytest.mark.parametrize(("asked", "status"), [(True, "failed"), (False, "skipped")])
def test_counters_that_are_not_there(serve, asked, status):
    """Missing counters are a failure only where somebody named them."""
    url, _ = serve({})
    report = Report()
    source = _collector.source(report, f"{url}/metrics", url, 1, asked=asked)
    assert source is None
    [(found, text)] = told(report)
    assert found == status
    assert "404" in text


def test_counters_by_way_of_prometheus(serve):
    """Where the collector's own port is not published, Prometheus's scrapes serve."""
    series = [
        {
            "metric": {
                "__name__": f"otelcol_{name}_total",
                component: value,
                "job": "collector",
            },
            "value": [0, "3"],
        }
        for name, component, value in (
            ("receiver_accepted_spans", "receiver", "otlp"),
            ("exporter_sent_spans", "exporter", "debug"),
            ("exporter_sent_log_records", "exporter", "debug"),
            ("exporter_sent_metric_points", "exporter", "prometheus"),
        )
    ]
    url, _ = serve({"/api/v1/query": data({"result": series})})
    report = Report()
    source = _collector.source(report, f"{url}/metrics", url, 0, asked=False)
    source.before = {}
    passed = _collector.check(report, source, PROBE)
    assert ("ok", "took 3 spans, sent on by debug") in told(report)
    report = Report()
    _logs.check(report, passed, PROBE, "")
    [(status, text)] = told(report)
    assert status == "warning"
    assert text.startswith("no log backend")


def test_a_user_and_password_go_as_basic(serve):
    """Credentials in an address are sent as a header, not as part of the URL."""
    url, seen = serve({"/x": {"a": 1}})
    named = url.replace("http://", "http://me:p%40ss@")
    assert _http.get_json(f"{named}/x") == {"a": 1}
    [(path, headers)] = seen
    assert path == "/x"
    assert headers["Authorization"] == "Basic bWU6cEBzcw=="


def test_an_answer_that_is_no_json(serve):
    """A page instead of a document is an error, not a crash."""
    url, _ = serve({"/x": "<html>"})
    with pytest.raises(_http.BackendError, match="no JSON"):
        _http.get_json(f"{url}/x")


def test_jaeger_that_is_something_else(serve):
    """An error of the server itself is shown with the option that corrects it."""
    url, _ = serve({f"/api/v3/traces/{PROBE.trace_id}": 500})
    report = Report()
    deadline = time.monotonic()
    _jaeger.check(report, url, PROBE, _collector.Passed(), deadline, sure=True)
    [finding] = report.findings
    assert finding.status == "failed"
    assert "500" in finding.text
    assert "--jaeger" in finding.change


def test_backends_that_were_only_guessed(serve):
    """Nobody at an address that was guessed is no failure, but told."""
    url, _ = serve({})
    report = Report()
    now = time.monotonic()
    bad = url.replace("127.0.0.1", "guessed.invalid")
    _jaeger.check(report, bad, PROBE, _collector.Passed(), now, sure=False)
    _prometheus.check(report, bad, PROBE, now, delta=False, patience=0, sure=False)
    assert [one.status for one in report.findings] == ["skipped", "skipped"]
    assert "--jaeger" in report.findings[0].change


def loki(result):
    """An answer of Loki."""
    return {"/loki/api/v1/query_range": {"data": {"result": result}}}


@pytest.mark.parametrize(
    ("answers", "status"),
    [(loki([{}]), "ok"), (loki([]), "failed"), ({}, "failed")],
)
def test_loki(serve, answers, status):
    """The record is asked for by service and trace id."""
    url, seen = serve(answers)
    report = Report()
    _logs.check_loki(report, url, PROBE, time.monotonic())
    [(found, _)] = told(report)
    assert found == status
    assert PROBE.trace_id in seen[0][0]
    assert "stagelight-doctor" in seen[0][0]


def data(value):
    """An answer of Prometheus."""
    return {"status": "success", "data": value}


def vector(value, **labels):
    """A query's result of one series."""
    metric = {"instance": PROBE.instance, **labels}
    return data({"result": [{"metric": metric, "value": [0, str(value)]}]})


LOADED = [
    {
        "name": rule.name,
        "type": "alerting",
        "query": "stagelight_queue_size > 1",
        "duration": rule.hold,
        "labels": {"severity": rule.severity},
        "health": "ok",
        "state": "firing" if rule.name == "StageStalled" else "inactive",
    }
    for rule in default_rules()
]
QUIET = [{**one, "state": "inactive"} for one in LOADED]
GOOD = {
    "/api/v1/status/flags": data({"enable-feature": "exemplar-storage"}),
    "/api/v1/query": vector(2),
    "/api/v1/query_exemplars": data(
        [{"exemplars": [{"labels": {"trace_id": PROBE.trace_id}}]}]
    ),
    "/api/v1/rules": data({"groups": [{"rules": LOADED}]}),
    "/api/v1/alertmanagers": data(
        {"activeAlertmanagers": [{"url": "http://a:9093/api/v2/alerts"}]}
    ),
    "/api/v1/targets": data({"activeTargets": []}),
    "/api/v1/status/config": data({"yaml": "alertmanagers:"}),
}


def ask_prometheus(serve, monkeypatch, changes=(), *, delta=False):
    """What is found in a Prometheus that answers well but for some changes."""
    monkeypatch.setattr(_prometheus, "_MOMENT", 0.0)
    monkeypatch.setattr(_prometheus, "_DISCOVERY", 0.0)
    url, _ = serve({**GOOD, **dict(changes)})
    report = Report()
    _prometheus.check(
        report, url, PROBE, time.monotonic(), delta=delta, patience=3, sure=True
    )
    return report


def test_a_good_prometheus(serve, monkeypatch):
    """Values, exemplars, rules and Alertmanager, each in a sentence."""
    assert told(ask_prometheus(serve, monkeypatch)) == [
        ("ok", "shows 2 events in stagelight_stage_consumed_events_total"),
        ("ok", "a bucket of the histogram leads to the trace"),
        ("ok", "alerts loaded: 15; firing now: StageStalled"),
        ("ok", "Prometheus sends alerts to http://a:9093"),
    ]


@pytest.mark.parametrize(
    ("path", "answer", "status", "text", "change"),
    [
        ("query", vector(1), "failed", "shows 1 of 2 events", "deltatocumulative"),
        (
            "query",
            vector(2, instance="c", exported_instance="i-1"),
            "warning",
            "exported_instance",
            "honor_labels: true",
        ),
        ("query", data({"result": []}), "failed", "it scrapes nothing", "port 8889"),
        ("rules", data({"groups": []}), "warning", "no alert", "rule_files"),
        (
            "alertmanagers",
            data({"activeAlertmanagers": []}),
            "warning",
            "no Alertmanager",
            "alerting",
        ),
        ("query_exemplars", data([]), "warning", "has none", "enable_open_metrics"),
        ("status/flags", "<html>", "failed", "cannot be asked", "--prometheus"),
    ],
)
def test_what_is_wrong_in_prometheus(  # noqa: PLR0913, PLR0917 - one table
    serve, monkeypatch, path, answer, status, text, change
):
    """Each trouble is told with what to change."""
    report = ask_prometheus(serve, monkeypatch, {f"/api/v1/{path}": answer}.items())
    [found] = [one for one in report.findings if text in one.text]
    assert found.status == status
    assert change in found.change


def test_a_rule_that_fails(serve, monkeypatch):
    """A rule that Prometheus cannot evaluate is broken, with its reason."""
    rule = {
        "name": "Broken",
        "type": "alerting",
        "query": "stagelight_queue_x",
        "health": "err",
        "lastError": "many-to-many",
    }
    answer = data({"groups": [{"rules": [rule]}]})
    report = ask_prometheus(serve, monkeypatch, {"/api/v1/rules": answer}.items())
    assert ("failed", "Broken cannot be evaluated: many-to-many") in told(report)


def test_differences_that_did_not_arrive(serve, monkeypatch):
    """With delta temporality an absence is blamed on it."""
    empty = {"/api/v1/query": data({"result": []})}
    report = ask_prometheus(serve, monkeypatch, empty.items(), delta=True)
    [first, *_] = report.findings
    assert first.status == "failed"
    assert "TEMPORALITY_PREFERENCE=cumulative" in first.change


def test_rules_by_way_of_recorded_series(serve, monkeypatch):
    """An alert on a series that a rule records counts; one on telemetry does not."""
    rules = [
        {"type": "recording", "name": "q:floor", "query": "stagelight_queue_size"},
        {"type": "alerting", "name": "Full", "query": "q:floor > 9", "state": "x"},
        {"type": "alerting", "name": "Up", "query": "up == 0", "state": "firing"},
        {
            "type": "alerting",
            "name": "Missing",
            "query": "absent(stagelight_stage_active)",
            "state": "firing",
        },
    ]
    answer = {"/api/v1/rules": data({"groups": [{"rules": [*rules, *QUIET]}]})}
    report = ask_prometheus(serve, monkeypatch, answer.items())
    assert ("ok", "alerts loaded: 16, none of them fires") in told(report)


def test_rules_that_are_missing_are_named(serve, monkeypatch):
    """A rule that nobody loaded, and one of another scale, are told by their names."""
    rules = [dict(one) for one in QUIET if one["name"] != "StagePoison"]
    for one in rules:
        if one["name"] == "StageSaturated":
            one["duration"] = 15
    answer = {"/api/v1/rules": data({"groups": [{"rules": rules}]})}
    report = ask_prometheus(serve, monkeypatch, answer.items())
    found = [one for one in told(report) if one[1].startswith(("not", "loaded with"))]
    assert found == [
        ("warning", "not loaded: 1 of the rules in force: StagePoison (warning)"),
        (
            "warning",
            "loaded with other settings: StageSaturated (for 15 s, here 900 s)",
        ),
    ]


def test_a_wrong_setting_is_told(serve, monkeypatch, tmp_path):
    """What should be loaded cannot be told where the setting is wrong."""
    (tmp_path / "stagelight.toml").write_text("[alerts]\nscal = 2\n")
    monkeypatch.chdir(tmp_path)
    report = ask_prometheus(serve, monkeypatch)
    [found] = [one for one in report.findings if one.hop == "rules"]
    assert (found.status, "unknown key 'scal'" in found.text) == ("failed", True)
