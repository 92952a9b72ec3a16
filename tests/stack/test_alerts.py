"""One fault is one alert in a real Alertmanager, told by the program and Prometheus."""

from __future__ import annotations

import json
import shutil

import pytest
from click.testing import CliRunner

from harness import start_program
from harness.backends import Prometheus, eventually
from realstack import Server, get_json
from realstack.build import find
from realstack.stack import Ports, alertmanager, prometheus_config
from stagelight.cli._group import group

SETTINGS = """
[alerts]
scale = 0.0167
rules = ["critical Deep: queue.size > 3 for 1s keep 2s on jobs"]
"""
USUAL = 'rate(stagelight_stage_process_duration_seconds_count{job="faulty"}[1m]) > 0'
NAMES = ["Deep", "StageStalled", "StageWorkerStuck"]
PROGRAM = """
import json, os, queue, sys, threading, time
import stagelight
from stagelight import alerts

alertmanager, begin, release = sys.argv[1:]
target = alerts.Alertmanager(alertmanager)
target.again = 1.0  # in place of a minute
stagelight.configure(service_name="faulty", alerts=False)
pipeline = stagelight.Pipeline("shop")
jobs = pipeline.queue(queue.Queue(10), "jobs")

def wait_for_an_answer():
    while not os.path.exists(release):
        time.sleep(0.05)

@pipeline.stage(name="work")
def work(number):
    if number == 1:
        wait_for_an_answer()

def take():
    while True:
        work(jobs.get())

alerts.start(None, targets=[target])
while not os.path.exists(begin):
    jobs.put(0)
    work(jobs.get())
    time.sleep(0.1)
threading.Thread(target=take, daemon=True).start()
for _ in range(5):
    jobs.put(1)
def labels():
    return json.dumps([one.labels for one in alerts.history()], sort_keys=True)
while len(alerts.history()) < 3:
    time.sleep(0.1)
print("told", labels(), flush=True)
wait_for_an_answer()
while alerts.firing():
    time.sleep(0.1)
print("resolved", labels(), flush=True)
time.sleep(300)
"""


@pytest.fixture
def folder(tmp_path, monkeypatch):
    """A folder with the settings, in which everything runs."""
    (tmp_path / "stagelight.toml").write_text(SETTINGS, encoding="utf-8")
    monkeypatch.chdir(tmp_path)
    return tmp_path


def judge(stack, ports, folder):
    """A Prometheus with the rules of these settings, which tells that Alertmanager."""
    own = prometheus_config(folder, stack.ports, "1s")
    manager = f'"127.0.0.1:{stack.ports.alertmanager}"'
    text = own.read_text().replace(manager, f'"127.0.0.1:{ports.alertmanager}"')
    own.write_text(text)
    done = CliRunner().invoke(group, ["rules", "-o", "rules/stagelight.yml"])
    assert done.exit_code == 0, done.output
    return Server(
        "prometheus",
        [
            str(find("prometheus")),
            f"--config.file={own}",
            f"--storage.tsdb.path={folder / 'data'}",
            f"--web.listen-address=127.0.0.1:{ports.prometheus}",
            "--rules.alert.resend-delay=1s",
        ],
        ready=f"http://127.0.0.1:{ports.prometheus}/-/ready",
        folder=folder,
    )


def active(ports):
    """Labels of the active alerts, in the order of their names."""
    url = f"http://127.0.0.1:{ports.alertmanager}/api/v2/alerts?active=true"
    return sorted((one["labels"] for one in get_json(url)), key=by_name)


def by_name(labels):
    """What alerts are sorted by."""
    return labels["alertname"], labels["severity"]


def of_prometheus(server):
    """Labels of what fires there, of our program."""
    found = [
        one["labels"]
        for one in server.alerts()
        if one["state"] == "firing" and one["labels"].get("job") == "faulty"
    ]
    return sorted(found, key=by_name)


def test_one_alert_for_one_fault(stack, folder):
    """Both paths give one alert each; it outlives a restart, and resolves."""
    ports, begin, release = Ports.free(), folder / "begin", folder / "release"
    manager = alertmanager(folder, ports)
    env = {
        "OTEL_EXPORTER_OTLP_ENDPOINT": stack.otlp_url,
        "OTEL_METRIC_EXPORT_INTERVAL": "500",
    }
    url = f"http://127.0.0.1:{ports.alertmanager}"
    prometheus = Prometheus(f"http://127.0.0.1:{ports.prometheus}")
    arguments = (url, str(begin), str(release))
    with (
        manager,
        judge(stack, ports, folder),
        start_program(PROGRAM, *arguments, env=env, cwd=folder) as program,
    ):
        # It has to have seen how long a call usually takes.
        assert eventually(lambda: prometheus.query(USUAL))
        begin.touch()
        told = program.wait_for_line("told", timeout=120)
        mine = sorted(json.loads(told.partition(" ")[2]), key=by_name)
        assert [one["alertname"] for one in mine] == NAMES
        both = eventually(
            lambda: [one for one in of_prometheus(prometheus) if one in mine] == mine
        )
        assert both, of_prometheus(prometheus)
        sent = "prometheus_notifications_sent_total"
        assert eventually(lambda: prometheus.query(sent) is not None)
        assert eventually(lambda: active(ports) == mine), active(ports)
        # It forgets everything, and is told again by both.
        manager.stop()
        shutil.rmtree(folder / "alertmanager")
        manager.start()
        manager.wait_ready()
        assert eventually(lambda: active(ports) == mine), active(ports)
        release.touch()
        program.wait_for_line("resolved", timeout=120)
        eventually(lambda: not active(ports))
        assert active(ports) == []
