"""What the vendors document of their OTLP intakes, written down a second time.

The package's own table says what to send; this one says what is taken, so that a test
can hold one against the other.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from .vendor import Rules

if TYPE_CHECKING:
    from .data import Signal

SIGNALS: tuple[Signal, ...] = ("traces", "metrics", "logs")
TOKEN = "s3cr+t/tok3n=="
GZIP = frozenset({"gzip"})


def _below(base: str) -> dict[Signal, str]:
    return {signal: f"{base}/v1/{signal}" for signal in SIGNALS}


def _same(**headers: str) -> dict[Signal, dict[str, str]]:
    named = {key.replace("_", "-"): value for key, value in headers.items()}
    return dict.fromkeys(SIGNALS, named)


_SECRET = r"s3cr\+t/tok3n=="

#: What `--set` is given, for those vendors that know no default.
VALUES: dict[str, dict[str, str]] = {
    "grafana-cloud": {"zone": "prod-eu-west-2", "instance": "123456"},
    "honeycomb": {"host": "api.eu1.honeycomb.io", "dataset": "pipelines"},
    "datadog": {"site": "datadoghq.eu"},
    "new-relic": {"host": "otlp.eu01.nr-data.net"},
    "dynatrace": {"host": "abc12345.live.dynatrace.com"},
    "elastic": {"host": "my-project.ingest.us-east-1.aws.elastic.cloud"},
    "axiom": {"traces": "t", "metrics": "m", "logs": "l"},
    "google-cloud": {"project": "my-project"},
    "aws": {"region": "eu-central-1", "log-group": "/apps/orders"},
}

RULES: dict[str, Rules] = {
    "grafana-cloud": Rules(
        paths=_below("otlp-gateway-prod-eu-west-2.grafana.net/otlp"),
        # base64 of 123456:TOKEN
        headers=_same(authorization=r"Basic MTIzNDU2OnMzY3IrdC90b2szbj09"),
        temporality="cumulative",
    ),
    "honeycomb": Rules(
        paths=_below("api.eu1.honeycomb.io"),
        headers={
            **_same(x_honeycomb_team=_SECRET),
            "metrics": {
                "x-honeycomb-team": _SECRET,
                "x-honeycomb-dataset": "pipelines",
            },
        },
    ),
    "datadog": Rules(
        paths=_below("otlp.datadoghq.eu"),
        headers={
            "traces": {"dd-api-key": _SECRET, "compute_stats": "true"},
            "metrics": {"dd-api-key": _SECRET},
            "logs": {"dd-api-key": _SECRET, "dd-protocol": "otlp"},
        },
        temporality="delta",
        most_bytes=500_000,
    ),
    "new-relic": Rules(
        paths=_below("otlp.eu01.nr-data.net"),
        headers=_same(api_key=_SECRET),
        temporality="delta",
        histogram="exponential_histogram",
        encodings=GZIP,
        most_bytes=1_000_000,
        longest_attribute=4095,
    ),
    "dynatrace": Rules(
        paths=_below("abc12345.live.dynatrace.com/api/v2/otlp"),
        headers=_same(authorization=rf"Api-Token {_SECRET}"),
        temporality="delta",
    ),
    "elastic": Rules(
        paths=_below("my-project.ingest.us-east-1.aws.elastic.cloud"),
        headers=_same(authorization=rf"ApiKey {_SECRET}"),
        temporality="delta",
        only_histograms=True,
    ),
    "axiom": Rules(
        paths=_below("api.axiom.co"),
        headers={
            "traces": {"authorization": rf"Bearer {_SECRET}", "x-axiom-dataset": "t"},
            "metrics": {
                "authorization": rf"Bearer {_SECRET}",
                "x-axiom-metrics-dataset": "m",
            },
            "logs": {"authorization": rf"Bearer {_SECRET}", "x-axiom-dataset": "l"},
        },
    ),
    "google-cloud": Rules(
        paths={},
        headers=_same(authorization=r"Bearer ya29\.fresh"),
        protocol="grpc",
        resource={"gcp.project_id": "my-project"},
        metric_name=r"[a-zA-Z][a-zA-Z0-9_:./-]*",
    ),
    "aws": Rules(
        paths={
            "traces": "xray.eu-central-1.amazonaws.com/v1/traces",
            "metrics": "monitoring.eu-central-1.amazonaws.com/v1/metrics",
            "logs": "logs.eu-central-1.amazonaws.com/v1/logs",
        },
        headers={
            **_same(authorization=r"AWS4-HMAC-SHA256 .+"),
            "logs": {
                "authorization": r"AWS4-HMAC-SHA256 .+",
                "x-aws-log-group": "/apps/orders",
                "x-aws-log-stream": "default",
            },
        },
        most_bytes=1_000_000,
    ),
}
