"""The table of vendors: what each one's OTLP intake asks for, by its documentation."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Final

#: Without these the SDK alone, unlike ``configure()``, exports nothing.
ALWAYS: Final = (
    ("OTEL_TRACES_EXPORTER", "otlp"),
    ("OTEL_METRICS_EXPORTER", "otlp"),
    ("OTEL_LOGS_EXPORTER", "otlp"),
)
_HTTP: Final = ("OTEL_EXPORTER_OTLP_PROTOCOL", "http/protobuf")
_GRPC: Final = ("OTEL_EXPORTER_OTLP_PROTOCOL", "grpc")
_GZIP: Final = ("OTEL_EXPORTER_OTLP_COMPRESSION", "gzip")
_TEMPORALITY: Final = "OTEL_EXPORTER_OTLP_METRICS_TEMPORALITY_PREFERENCE"
_CUMULATIVE: Final = (_TEMPORALITY, "cumulative")
_DELTA: Final = (_TEMPORALITY, "delta")
_EXPONENTIAL: Final = (
    "OTEL_EXPORTER_OTLP_METRICS_DEFAULT_HISTOGRAM_AGGREGATION",
    "base2_exponential_bucket_histogram",
)
_ENDPOINT: Final = "OTEL_EXPORTER_OTLP_ENDPOINT"
_HEADERS: Final = "OTEL_EXPORTER_OTLP_HEADERS"
_TRACES: Final = "OTEL_EXPORTER_OTLP_TRACES_"
_METRICS: Final = "OTEL_EXPORTER_OTLP_METRICS_"
_LOGS: Final = "OTEL_EXPORTER_OTLP_LOGS_"


@dataclass(frozen=True, slots=True)
class Field:
    """One thing that only the user knows.

    Attributes:
        name: How ``--set`` and the templates call it.
        meaning: What it is, and where the vendor shows it.
        default: What is used where nothing is given; None for a placeholder.
    """

    name: str
    meaning: str
    default: str | None = None

    @property
    def placeholder(self) -> str:
        """What stands for it until the user fills it in."""
        return f"YOUR_{self.name.upper().replace('-', '_')}"


@dataclass(frozen=True, slots=True)
class Vendor:
    """One row of the table.

    Attributes:
        name: What the command line calls it.
        title: What it calls itself.
        fields: What only the user knows, the secret aside.
        token: What the secret is, or "" where no static one is taken.
        lines: Variables and templates of their values.
        notes: What else has to be known or done.
        documentation: Where the vendor says so.
        aliases: Further names.
    """

    name: str
    title: str
    fields: tuple[Field, ...]
    token: str
    lines: tuple[tuple[str, str], ...]
    notes: tuple[str, ...]
    documentation: str
    aliases: tuple[str, ...] = ()


VENDORS: Final = (
    Vendor(
        name="grafana-cloud",
        title="Grafana Cloud",
        fields=(
            Field("zone", "zone of the stack, such as prod-eu-west-2"),
            Field("instance", "instance id of the stack, a number"),
        ),
        token="access policy token",  # noqa: S106 - says what it is
        lines=(
            _HTTP,
            (_ENDPOINT, "https://otlp-gateway-{zone}.grafana.net/otlp"),
            (_HEADERS, "Authorization=Basic%20{basic}"),
            _CUMULATIVE,
        ),
        notes=("Zone and instance: your stack's page, tile OpenTelemetry.",),
        documentation="https://grafana.com/docs/grafana-cloud/send-data/otlp/send-data-otlp/",
        aliases=("grafana",),
    ),
    Vendor(
        name="honeycomb",
        title="Honeycomb",
        fields=(
            Field(
                "host", "that of your region (api.eu1.honeycomb.io)", "api.honeycomb.io"
            ),
            Field("dataset", "data set of the metrics", "stagelight"),
        ),
        token="ingest key",  # noqa: S106 - says what it is
        lines=(
            _HTTP,
            (_ENDPOINT, "https://{host}"),
            (_HEADERS, "x-honeycomb-team={token}"),
            (
                f"{_METRICS}HEADERS",
                "x-honeycomb-team={token},x-honeycomb-dataset={dataset}",
            ),
            _CUMULATIVE,
        ),
        notes=("Without a data set metrics end in unknown_metrics.",),
        documentation="https://docs.honeycomb.io/send-data/opentelemetry/",
    ),
    Vendor(
        name="datadog",
        title="Datadog",
        fields=(Field("site", "Datadog site", "datadoghq.com"),),
        token="API key",  # noqa: S106 - says what it is
        lines=(
            _HTTP,
            (f"{_TRACES}ENDPOINT", "https://otlp.{site}/v1/traces"),
            (f"{_METRICS}ENDPOINT", "https://otlp.{site}/v1/metrics"),
            (f"{_LOGS}ENDPOINT", "https://otlp.{site}/v1/logs"),
            (f"{_TRACES}HEADERS", "dd-api-key={token},compute_stats=true"),
            (f"{_METRICS}HEADERS", "dd-api-key={token}"),
            (f"{_LOGS}HEADERS", "dd-api-key={token},dd-protocol=otlp"),
            _GZIP,
            _DELTA,
        ),
        notes=(
            "Cumulative metrics are refused. Direct traces are a preview, to be asked",
            "for; the page below names the endpoints of your site. Otherwise send to",
            "the Datadog Agent, or to a collector with the datadog exporter.",
        ),
        documentation="https://docs.datadoghq.com/opentelemetry/setup/otlp_ingest/",
    ),
    Vendor(
        name="new-relic",
        title="New Relic",
        fields=(
            Field("host", "that of your region (otlp.eu01...)", "otlp.nr-data.net"),
        ),
        token="licence key",  # noqa: S106 - says what it is
        lines=(
            _HTTP,
            (_ENDPOINT, "https://{host}"),
            (_HEADERS, "api-key={token}"),
            _GZIP,
            _DELTA,
            _EXPONENTIAL,
            ("OTEL_ATTRIBUTE_VALUE_LENGTH_LIMIT", "4095"),
            ("OTEL_ATTRIBUTE_COUNT_LIMIT", "64"),
        ),
        notes=("Requests above 1 MB are refused, longer attributes too.",),
        documentation="https://docs.newrelic.com/docs/opentelemetry/best-practices/opentelemetry-otlp/",
        aliases=("newrelic",),
    ),
    Vendor(
        name="dynatrace",
        title="Dynatrace",
        fields=(
            Field(
                "host",
                "ENVIRONMENT.live.dynatrace.com, or an ActiveGate with /e/ENVIRONMENT",
            ),
        ),
        token="API token",  # noqa: S106 - says what it is
        lines=(
            _HTTP,
            (_ENDPOINT, "https://{host}/api/v2/otlp"),
            (_HEADERS, "Authorization=Api-Token%20{token}"),
            _DELTA,
        ),
        notes=(
            "The token needs the scopes openTelemetryTrace.ingest, metrics.ingest and",
            "logs.ingest. gRPC and cumulative metrics are refused.",
        ),
        documentation="https://docs.dynatrace.com/docs/ingest-from/opentelemetry/otlp-api",
    ),
    Vendor(
        name="elastic",
        title="Elastic Cloud",
        fields=(Field("host", "host of the managed OTLP endpoint of your project"),),
        token="API key",  # noqa: S106 - says what it is
        lines=(
            _HTTP,
            (_ENDPOINT, "https://{host}"),
            (_HEADERS, "Authorization=ApiKey%20{token}"),
            _DELTA,
        ),
        notes=("Cumulative histograms are dropped, hence delta.",),
        documentation="https://www.elastic.co/docs/reference/opentelemetry/motlp",
    ),
    Vendor(
        name="axiom",
        title="Axiom",
        fields=(
            Field("host", "api.axiom.co or that of your edge", "api.axiom.co"),
            Field("traces", "data set of the traces", "traces"),
            Field("metrics", "data set of the metrics", "metrics"),
            Field("logs", "data set of the logs", "logs"),
        ),
        token="API token",  # noqa: S106 - says what it is
        lines=(
            _HTTP,
            (_ENDPOINT, "https://{host}"),
            (
                f"{_TRACES}HEADERS",
                "Authorization=Bearer%20{token},x-axiom-dataset={traces}",
            ),
            (
                f"{_METRICS}HEADERS",
                "Authorization=Bearer%20{token},x-axiom-metrics-dataset={metrics}",
            ),
            (
                f"{_LOGS}HEADERS",
                "Authorization=Bearer%20{token},x-axiom-dataset={logs}",
            ),
            _CUMULATIVE,
        ),
        notes=("The three data sets must exist. Metrics are a preview.",),
        documentation="https://axiom.co/docs/send-data/opentelemetry",
    ),
    Vendor(
        name="google-cloud",
        title="Google Cloud",
        fields=(Field("project", "id of the project"),),
        token="",
        lines=(
            _GRPC,
            (_ENDPOINT, "https://telemetry.googleapis.com:443"),
            (
                "OTEL_PYTHON_EXPORTER_OTLP_GRPC_CREDENTIAL_PROVIDER",
                "gcp_grpc_credentials",
            ),
            ("OTEL_RESOURCE_ATTRIBUTES", "gcp.project_id={project}"),
            _CUMULATIVE,
        ),
        notes=(
            "Google takes no static token, these lines alone do not suffice:",
            "  pip install opentelemetry-exporter-credential-provider-gcp",
            "  gcloud auth application-default login   (or a service account)",
            "  the role roles/telemetry.writer, and the API telemetry.googleapis.com",
            "Or send to a collector with the googleclientauth extension.",
        ),
        documentation="https://cloud.google.com/stackdriver/docs/reference/telemetry/overview",
        aliases=("gcp", "google"),
    ),
    Vendor(
        name="aws",
        title="AWS (X-Ray and CloudWatch)",
        fields=(
            Field("region", "region, such as eu-central-1"),
            Field("log-group", "log group, which must exist", "stagelight"),
            Field("log-stream", "log stream in it, which must exist", "default"),
        ),
        token="",
        lines=(
            _HTTP,
            (f"{_TRACES}ENDPOINT", "https://xray.{region}.amazonaws.com/v1/traces"),
            (
                f"{_METRICS}ENDPOINT",
                "https://monitoring.{region}.amazonaws.com/v1/metrics",
            ),
            (f"{_LOGS}ENDPOINT", "https://logs.{region}.amazonaws.com/v1/logs"),
            (
                f"{_LOGS}HEADERS",
                "x-aws-log-group={log-group},x-aws-log-stream={log-stream}",
            ),
            _GZIP,
            _CUMULATIVE,
        ),
        notes=(
            "AWS wants each request signed (SigV4), these lines alone do not suffice.",
            "Best send to a collector with the sigv4auth extension. Without one, a",
            "credential provider that returns a signing requests.Session:",
            "  OTEL_PYTHON_EXPORTER_OTLP_HTTP_CREDENTIAL_PROVIDER=its entry point",
            "or the ADOT distribution, which signs traces and logs:",
            "  pip install aws-opentelemetry-distro",
            "  OTEL_PYTHON_DISTRO=aws_distro OTEL_PYTHON_CONFIGURATOR=aws_configurator",
            "Traces need CloudWatch's Transaction Search switched on.",
        ),
        documentation="https://docs.aws.amazon.com/AmazonCloudWatch/latest/monitoring/CloudWatch-OTLPEndpoint.html",
        aliases=("amazon", "cloudwatch", "xray"),
    ),
)
