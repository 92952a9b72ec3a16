from __future__ import annotations

import shutil
import subprocess
import sys
from concurrent.futures import ThreadPoolExecutor

import grpc
import pytest
from opentelemetry.proto.collector.logs.v1 import logs_service_pb2_grpc as logs
from opentelemetry.proto.collector.metrics.v1 import metrics_service_pb2_grpc as metrics
from opentelemetry.proto.collector.trace.v1 import trace_service_pb2_grpc as traces

from harness import run_program
from harness.over_grpc import Servicer
from harness.vendor import RuledIntake
from harness.vendor_rules import RULES, SIGNALS

PROGRAM = """
class Parse:
    def process(self, event):
        if event["id"]:
            raise ValueError("no")

for number in range(2):
    try:
        Parse().process({"id": number})
    except ValueError:
        print("failed")
"""

#: What opentelemetry-exporter-credential-provider-gcp does: TLS, and a fresh token.
PROVIDER = """
import os, grpc

def credentials():
    with open(os.environ["TEST_CERTIFICATE"], "rb") as file:
        channel = grpc.ssl_channel_credentials(file.read())
    return grpc.composite_channel_credentials(
        channel, grpc.access_token_call_credentials("ya29.fresh")
    )
"""

pytestmark = pytest.mark.skipif(
    shutil.which("openssl") is None, reason="openssl makes the certificate"
)


@pytest.fixture
def certificate(tmp_path):
    """Paths of a key and of its certificate for localhost."""
    key, path = tmp_path / "key.pem", tmp_path / "certificate.pem"
    subprocess.run(
        [
            *("openssl", "req", "-x509", "-newkey", "ec", "-nodes", "-days", "2"),
            *("-pkeyopt", "ec_paramgen_curve:prime256v1", "-subj", "/CN=localhost"),
            *("-addext", "subjectAltName=DNS:localhost"),
            *("-keyout", str(key), "-out", str(path)),
        ],
        check=True,
        capture_output=True,
    )
    return key, path


@pytest.fixture
def google(certificate):
    """The intake over TLS, and the port that it listens on."""
    intake = RuledIntake(RULES["google-cloud"])
    with ThreadPoolExecutor(4) as workers:
        server = grpc.server(workers)
        traces.add_TraceServiceServicer_to_server(Servicer(intake, "traces"), server)
        metrics.add_MetricsServiceServicer_to_server(
            Servicer(intake, "metrics"), server
        )
        logs.add_LogsServiceServicer_to_server(Servicer(intake, "logs"), server)
        pair = [tuple(path.read_bytes() for path in certificate)]
        credentials = grpc.ssl_server_credentials(pair)
        port = server.add_secure_port("localhost:0", credentials)
        server.start()
        yield intake, port
        server.stop(None).wait()


def run_into(port, tmp_path, certificate, *dropped):
    """Run the program with the printed lines, led to the local intake."""
    printed = subprocess.run(
        [
            *(sys.executable, "-m", "stagelight", "vendor", "google-cloud"),
            *("--set", "project=my-project", "--env-file"),
        ],
        capture_output=True,
        text=True,
        check=True,
    ).stdout
    lines = dict(
        line.split("=", 1) for line in printed.splitlines() if not line.startswith("#")
    )
    assert (
        lines["OTEL_EXPORTER_OTLP_ENDPOINT"] == "https://telemetry.googleapis.com:443"
    )
    lines["OTEL_EXPORTER_OTLP_ENDPOINT"] = f"https://localhost:{port}"
    for name in dropped:
        del lines[name]
    (tmp_path / "fresh.py").write_text(PROVIDER, encoding="utf-8")
    info = tmp_path / "fresh-1.dist-info"
    info.mkdir()
    (info / "METADATA").write_text("Metadata-Version: 2.1\nName: fresh\nVersion: 1\n")
    (info / "entry_points.txt").write_text(
        "[opentelemetry_otlp_credential_provider]\n"
        "gcp_grpc_credentials = fresh:credentials\n"
    )
    result = run_program(
        PROGRAM,
        env={
            **lines,
            "PYTHONPATH": str(tmp_path),
            "TEST_CERTIFICATE": str(certificate[1]),
            "OTEL_EXPORTER_OTLP_CERTIFICATE": str(certificate[1]),
        },
        prefix=("-m", "stagelight", "run"),
    )
    assert (result.returncode, result.stdout) == (0, "failed\n"), result.stderr
    assert "ya29" not in result.stderr
    return result


def test_the_lines_do_what_google_asks_for(google, tmp_path, certificate):
    """The lines call the credential provider, and name the project, over gRPC."""
    intake, port = google
    run_into(port, tmp_path, certificate)
    assert intake.violations == []
    assert {signal for signal, _ in intake.accepted} == set(SIGNALS)


@pytest.mark.parametrize(
    ("dropped", "violation"),
    [
        ("OTEL_PYTHON_EXPORTER_OTLP_GRPC_CREDENTIAL_PROVIDER", "header authorization"),
        ("OTEL_RESOURCE_ATTRIBUTES", "gcp.project_id"),
    ],
)
def test_google_refuses_other_lines(google, tmp_path, certificate, dropped, violation):
    """Without the provider, or without the project, nothing is taken."""
    intake, port = google
    result = run_into(port, tmp_path, certificate, dropped)
    assert any(violation in text for text in intake.violations)
    assert intake.accepted == {}
    assert "stagelight cannot export" in result.stderr
