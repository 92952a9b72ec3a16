"""Agent and gateways as docs/operating.md has them, with the real collector."""

from __future__ import annotations

from collections import Counter
from contextlib import ExitStack

from harness import OtlpReceiver, run_program
from harness.backends import eventually
from realstack import ROOT, Ports
from realstack.stack import collector

CONFIGS = ROOT / "ops" / "collector"
PROGRAM = """
    import stagelight

    stagelight.configure(service_name="scaled", journeys_per_second="all")
    pipeline = stagelight.Pipeline("scaled")

    @pipeline.stage
    def parse(event):
        return event

    @pipeline.stage
    def store(event):
        if event["id"] % 4 == 0:
            raise ValueError(event["id"])

    for number in range(200):
        event = parse({"id": number})
        try:
            store(event)
        except ValueError:
            pass
"""


def test_agent_and_two_gateways(otelcol, tmp_path):
    """Whole traces meet in one gateway; failures are kept, metrics complete."""
    agent_ports, *gateway_ports = Ports.free(), Ports.free(), Ports.free()
    with ExitStack() as cleanup:
        stores = [cleanup.enter_context(OtlpReceiver()) for _ in gateway_ports]
        for number, (ports, store) in enumerate(
            zip(gateway_ports, stores, strict=True)
        ):
            folder = tmp_path / f"gateway-{number}"
            folder.mkdir()
            env = {
                "TRACES_EXPORTERS": "[otlp_grpc/store]",
                "METRICS_EXPORTERS": "[otlp_grpc/store]",
                "STORE_OTLP_ENDPOINT": store.grpc_endpoint.removeprefix("http://"),
                "STORE_INSECURE": "true",
                "LOGS_OTLP_ENDPOINT": store.http_endpoint,
                "DECISION_WAIT": "1s",
                "KEEP_PERCENT": "0",
            }
            config = CONFIGS / "gateway.yaml"
            cleanup.enter_context(collector(folder, ports, env, config))
        names = ", ".join(f"127.0.0.1:{ports.otlp_grpc}" for ports in gateway_ports)
        folder = tmp_path / "agent"
        folder.mkdir()
        env = {"GATEWAYS": f"[{names}]", "GATEWAY_INSECURE": "true"}
        config = CONFIGS / "agent.yaml"
        agent = collector(folder, agent_ports, env, config)
        soon = folder / "soon.yaml"
        soon.write_text("connectors: {span_metrics: {metrics_flush_interval: 1s}}")
        agent.add_arguments("--config", str(soon))
        cleanup.enter_context(agent)
        done = run_program(
            PROGRAM,
            env={
                "OTEL_EXPORTER_OTLP_ENDPOINT": (
                    f"http://127.0.0.1:{agent_ports.otlp_http}"
                ),
                # All in one request: a gateway decides on a trace a second after its
                # first span, on a busy machine between two requests.
                "OTEL_BSP_SCHEDULE_DELAY": "600000",
                "OTEL_BSP_MAX_EXPORT_BATCH_SIZE": "2048",
            },
        )
        assert done.returncode == 0, done.stderr
        assert done.stderr == ""

        def spans():
            return [span for store in stores for span in store.spans()]

        eventually(lambda: len(spans()) >= 150)
        # A quarter failed: these 50 traces are whole, and nothing else was kept.
        by_trace = Counter(span.trace_id for span in spans())
        assert Counter(by_trace.values()) == {3: 50}
        homes = [{span.trace_id for span in store.spans()} for store in stores]
        assert all(homes)
        assert not homes[0] & homes[1]

        def consumed():
            return {
                (
                    point.attributes["stagelight.stage.name"],
                    point.attributes["stagelight.outcome"],
                ): point.value
                for store in stores
                for point in store.last("stagelight.stage.consumed.events")
                if point.value
            }

        expected = {
            ("parse", "success"): 200,
            ("store", "success"): 150,
            ("store", "failure"): 50,
        }
        eventually(lambda: consumed() == expected)
        assert consumed() == expected

        def failures():
            return [log for store in stores for log in store.logs()]

        eventually(lambda: len(failures()) == 50)
        assert {log.trace_id for log in failures()} == set(by_trace)

        # Rates for the Monitor tab are taken before sampling: all 200 journeys.
        def calls():
            return sum(
                point.value
                for store in stores
                for point in store.last("traces.span.metrics.calls")
                if point.attributes["span.name"] == "process parse"
            )

        eventually(lambda: calls() == 200)
        assert calls() == 200
