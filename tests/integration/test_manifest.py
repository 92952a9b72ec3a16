from __future__ import annotations

import time
from pathlib import Path

import kubernetes_validate
import pytest
import yaml

from harness import start_program
from harness.asking import Client
from stagelight import _config

MANIFEST = Path(__file__).parents[2] / "examples" / "kubernetes" / "deployment.yaml"
DOCUMENTS = list(yaml.safe_load_all(MANIFEST.read_text(encoding="utf-8")))


def container() -> dict:
    """The one container of the deployment."""
    (deployment,) = (one for one in DOCUMENTS if one["kind"] == "Deployment")
    (found,) = deployment["spec"]["template"]["spec"]["containers"]
    return found


@pytest.mark.parametrize("document", DOCUMENTS, ids=lambda one: one["kind"])
def test_it_is_valid(document) -> None:
    """Each document holds to the schema of a Kubernetes API, strictly."""
    kubernetes_validate.validate(document, "1.33", strict=True)


def test_a_wrong_manifest_would_be_found() -> None:
    """The check is none that lets everything pass."""
    wrong = {**DOCUMENTS[1], "spec": {**DOCUMENTS[1]["spec"], "replicas": "three"}}
    with pytest.raises(kubernetes_validate.ValidationError):
        kubernetes_validate.validate(wrong, "1.33", strict=True)


def test_its_settings_and_probes_work(tmp_path) -> None:
    """The environment is accepted, and each probe's path and port passes with it."""
    env = {
        one["name"]: one.get("value", "a-token-of-some-length")
        for one in container()["env"]
    }
    ours = {key: value for key, value in env.items() if key.startswith("STAGELIGHT_")}
    settings = _config.load(tmp_path, ours)
    assert settings.ingress == "pull"
    ports = {one["name"]: one["containerPort"] for one in container()["ports"]}
    assert settings.listen.endswith(f":{ports['page']}")
    assert settings.watchdog.endswith(f":{ports['probes']}")
    # The same on free ports of loopback.
    local = {
        **ours,
        "STAGELIGHT_LISTEN": "127.0.0.1:0",
        "STAGELIGHT_WATCHDOG": "[::1]:0",
    }
    source = """
    import stagelight, time
    stage = stagelight.Pipeline("orders").stage(lambda event: event, name="work")
    stage(1)
    with stagelight.serve(watchdog="127.0.0.1:0") as server:
        print("port", server.watchdog_url.rstrip("/").rpartition(":")[2], flush=True)
        time.sleep(300)
    """
    with start_program(source, env=local) as program:
        ask = Client(int(program.wait_for_line("port").split()[1]))
        for kind in ("startupProbe", "livenessProbe", "readinessProbe"):
            probe = container()[kind]["httpGet"]
            assert probe["port"] == "probes"
            deadline = time.monotonic() + 60
            while ask(probe["path"]).status != 200 and time.monotonic() < deadline:
                time.sleep(0.1)
            assert ask(probe["path"]).status == 200
