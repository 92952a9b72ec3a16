from __future__ import annotations

import asyncio
import contextlib
import http.client
import json
import os
import queue
import resource
import socket
import threading
import time
from pathlib import Path

import psutil
import pytest
from starlette.applications import Starlette
from starlette.routing import Mount

import stagelight
from harness import run_program
from harness.asking import Client
from harness.timing import least
from stagelight import _sinks, health
from stagelight._slots import TAP
from stagelight._workers import ALERT
from stagelight.health import _heartbeats
from stagelight.health._monitor import MONITOR
from stagelight.server._protocol import MOST


def test_the_probes_of_a_healthy_process_pass(ask) -> None:
    """Each answers 200 with the media type of health+json, and nothing more."""
    for path in ("/livez", "/readyz", "/startupz", "/livez/", "/readyz?x=1"):
        answer = ask(path)
        assert (answer.status, answer.json) == (200, {"status": "pass"})
        assert answer.headers["content-type"] == "application/health+json"
        assert answer.headers["cache-control"] == "no-store"
    assert ask("/livez", "HEAD").body == b""


def test_verbose_tells_each_check(ask) -> None:
    """Every check has status and time; as text there is a line for each."""
    body = ask("/readyz?verbose").json
    assert set(body["checks"]) == {
        "process",
        "pipeline:shop",
        "stage:shop/parse",
        "startup",
    }
    (check,) = body["checks"]["stage:shop/parse"]
    assert (check["status"], check["componentType"]) == ("pass", "component")
    text = ask("/livez?verbose", Accept="text/plain").body.decode()
    assert text.splitlines() == [
        "[+]process ok",
        "[+]pipeline:shop ok",
        "[+]stage:shop/parse ok",
        "livez check passed",
    ]


def test_a_failing_check_fails_its_probe_and_its_path_alone(ask) -> None:
    """Readiness tells which one fails; its own path, or leaving it out, isolates it."""
    health.check("database")(lambda: "connection refused")
    health.check("disk full")(lambda: None)
    until = time.monotonic() + 60
    while time.monotonic() < until:
        MONITOR.tick()
        answer = ask("/readyz?verbose")
        if b"not answered" not in answer.body and b"database" in answer.body:
            break
    answer = ask("/readyz/database")
    assert answer.status == 503
    assert answer.json["output"] == "database: connection refused"
    assert ask("/livez").status == 200
    assert ask("/readyz").json == {
        "status": "fail",
        "output": "database: connection refused",
    }
    assert ask("/readyz?exclude=database").status == 200
    assert ask("/readyz/disk%20full").status == 200
    missing = ask("/livez/database")
    assert (missing.status, missing.json["status"]) == (404, "fail")


def test_a_warning_passes(ask) -> None:
    """A degraded process is told with 200: the draft wants it, orchestrators too."""
    health.flag("slow", "p95 is twice its usual", pipeline="shop", stage="parse")
    MONITOR.tick()
    answer = ask("/livez")
    assert (answer.status, answer.json) == (
        200,
        {
            "status": "warn",
            "output": "stage:shop/parse: degraded: p95 is twice its usual",
        },
    )


def test_stats_is_the_snapshot_and_more(ask, pipeline) -> None:
    """The numbers are those of stats(), beside health, alerts and failed events."""
    document = ask("/stats").json
    stats = pipeline.stats()
    shown = document["pipelines"]["shop"]
    assert shown["stages"]["parse"]["outcomes"] == stats["stages"]["parse"]["outcomes"]
    assert document["health"]["pipelines"]["shop"]["stages"]["parse"]["state"] == (
        "healthy"
    )
    assert (document["failed"], document["alerts"]) == ([], [])
    assert document["process"]["pid"] == os.getpid()


def test_a_failed_event_is_told_without_its_secrets(ask, pipeline) -> None:
    """Of a failed event stage, error, id and message are shown, and no secret."""

    def charge(event):
        raise PermissionError("token=s3cr3t-v4lue for bob@example.com refused")

    stage = pipeline.stage(charge, name="charge")
    with pytest.raises(PermissionError):
        stage({"id": 7})
    (failed,) = ask("/stats").json["failed"]
    assert (failed["stage"], failed["event_id"], failed["error_type"]) == (
        "charge",
        "7",
        "PermissionError",
    )
    assert failed["message"] == "token=[redacted] for [redacted] refused"


def test_every_answer_is_safe_by_its_headers(ask) -> None:
    """A strict policy, no sniffing, no caching, and no word of what serves it."""
    for path in ("/", "/stats", "/static/app.js", "/history", "/nowhere"):
        answer = ask(path)
        if path != "/nowhere":
            assert answer.status == 200, path
            policy = answer.headers["content-security-policy"]
            assert policy.startswith("default-src 'none'; script-src 'self'")
            assert answer.headers["x-content-type-options"] == "nosniff"
        assert "server" not in answer.headers
        assert "access-control-allow-origin" not in answer.headers


@pytest.mark.parametrize(
    ("headers", "status"),
    [
        ({}, 200),
        ({"Host": "localhost:1"}, 200),
        ({"Host": "[::1]:80"}, 200),
        ({"Host": "evil.example"}, 403),
        ({"Host": "127.0.0.1.evil.example"}, 403),
        ({"Origin": "http://evil.example"}, 403),
        ({"Origin": "null"}, 403),
        ({"Sec_Fetch_Site": "cross-site", "Sec_Fetch_Mode": "cors"}, 403),
        ({"Sec_Fetch_Site": "cross-site", "Sec_Fetch_Mode": "navigate"}, 200),
        ({"X_Forwarded_For": "203.0.113.9"}, 403),
    ],
)
def test_no_other_site_gets_in(ask, headers, status) -> None:
    """Rebound names, foreign origins and proxies are refused; the probes are not."""
    assert ask("/stats", **headers).status == status
    assert ask("/livez", **headers).status == 200


def test_a_token_is_needed_where_there_is_one(pipeline) -> None:
    """By header, by cookie, or once in the address, which it does not stay in."""
    token = "correct-horse-battery"
    with stagelight.serve("127.0.0.1:0", token=token) as server:
        ask = Client(server.port)
        refused = ask("/stats")
        assert refused.status == 401
        assert refused.headers["www-authenticate"] == "Bearer"
        assert ask("/stats", Authorization="Bearer wrong-horse-battery").status == 401
        assert ask("/stats", Authorization=f"Bearer {token}").status == 200
        moved = ask(f"/?token={token}")
        assert (moved.status, moved.headers["location"]) == (303, "/")
        cookie = moved.headers["set-cookie"]
        assert "HttpOnly" in cookie
        assert "SameSite=strict" in cookie
        assert ask("/stats", Cookie=cookie.partition(";")[0]).status == 200
        assert ask("/readyz").status == 200


def test_others_may_not_reach_it_without_a_token(pipeline) -> None:
    """Any address but loopback needs a token at start-up, and a long one."""
    with pytest.raises(stagelight.ConfigurationError, match="can be reached by others"):
        stagelight.serve("0.0.0.0:0")
    with pytest.raises(stagelight.ConfigurationError, match="has 5 characters"):
        stagelight.serve("0.0.0.0:0", token="short")
    with stagelight.serve("0.0.0.0:0", token="correct-horse-battery") as server:
        assert server.url == f"http://127.0.0.1:{server.port}/"
        assert Client(server.port)("/livez").status == 200


def test_a_port_in_use_is_told(server) -> None:
    """The error names the address and what to do, and nothing is left running."""
    with pytest.raises(stagelight.ConfigurationError, match="is in use by another"):
        stagelight.serve(f"127.0.0.1:{server.port}")


def test_only_reading_is_possible(ask) -> None:
    """Nothing changes anything: other methods are refused."""
    for method in ("POST", "PUT", "DELETE", "OPTIONS"):
        assert ask("/stats", method).status == 405


def test_paths_do_not_lead_out(ask) -> None:
    """Files beside the page's own cannot be had."""
    for path in ("/static/../_app.py", "/static/..%2f_app.py", "/static/%2e%2e", "/x"):
        assert ask(path).status == 404


def raw(port: int, data: bytes, wait: float = 60.0) -> bytes:
    """Send bytes as they are; what comes back until the end."""
    with socket.create_connection(("127.0.0.1", port), wait) as peer:
        peer.sendall(data)
        found = b""
        with contextlib.suppress(ConnectionError):
            while part := peer.recv(65_536):
                found += part
        return found


@pytest.mark.parametrize(
    "data",
    [
        b"\x00\x01\x02\r\n\r\n",
        b"GET\r\n\r\n",
        b"GET / HTTP/9.9\r\n\r\n",
        b"GET / HTTP/1.1\r\n" + b"X: " + b"a" * 70_000 + b"\r\n\r\n",
        b"GET /" + b"a" * 70_000,
        b"GET / HTTP/1.1\r\nContent-Length: -1\r\n\r\n",
        b"GET / HTTP/1.1\r\nHost: a\r\nHost: b\r\n\r\n",
        b"\x16\x03\x01\x02\x00\x01\x00\x01\xfc\x03\x03",
    ],
)
def test_what_is_no_request_is_answered_or_dropped(ask, server, data, capfd) -> None:
    """Malformed and huge requests get 4xx or nothing, and no word in the log."""
    if data.startswith(b"\x16"):
        data += b"\r\n\r\n"
    answer = raw(server.port, data)
    assert answer == b"" or answer.startswith((b"HTTP/1.1 4", b"HTTP/1.0 4"))
    assert ask("/livez").status == 200
    assert capfd.readouterr() == ("", "")


@pytest.mark.slow
def test_thousands_of_idle_connections_are_survived(ask, server) -> None:
    """With 2,000 of them probes answer at once, from one thread and little memory."""
    assert ask("/livez").status == 200
    process = psutil.Process()
    before = process.memory_info().rss
    soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    resource.setrlimit(resource.RLIMIT_NOFILE, (min(6000, hard), hard))
    threads = threading.active_count()
    with contextlib.ExitStack() as stack:
        stack.callback(resource.setrlimit, resource.RLIMIT_NOFILE, (soft, hard))
        for number in range(2000):
            peer = stack.enter_context(
                socket.create_connection(("127.0.0.1", server.port), 60)
            )
            with contextlib.suppress(OSError):
                peer.send(b"GET / HTTP/1.1\r\nX-Slow: 1\r\n" if number % 2 else b"G")

        def probe() -> float:
            began = time.perf_counter()
            assert ask("/livez").status == 200
            return time.perf_counter() - began

        assert least(probe, 1) < 1
        assert threading.active_count() == threads
        assert process.memory_info().rss - before < 24e6
        open_ = len(list(Path("/proc/self/fd").iterdir()))
        assert open_ < 2000 + MOST + 100


def test_a_slow_request_is_given_up(server, monkeypatch) -> None:
    """A head that does not come to its end is dropped after its time."""
    from stagelight.server import _protocol

    monkeypatch.setattr(_protocol, "PATIENCE", 0.2)

    def ask() -> float:
        began = time.monotonic()
        assert raw(server.port, b"GET / HTTP/1.1\r\nHost: ") == b""
        return time.monotonic() - began

    assert least(ask, 3) < 3


def test_events_come_every_second(server, pipeline) -> None:
    """The stream sends the document at once, then each second; a change is in it."""
    connection = http.client.HTTPConnection("127.0.0.1", server.port, timeout=60)
    connection.request("GET", "/events")
    response = connection.getresponse()
    assert response.headers["content-type"].startswith("text/event-stream")

    def next_document():
        while not (line := response.readline()).startswith(b"data: "):
            assert line
        return json.loads(line[6:])

    first = next_document()
    pipeline.stage(lambda event: event, name="price")(1)
    second = next_document()
    third = next_document()
    assert "price" not in first["pipelines"]["shop"]["stages"]
    assert second["pipelines"]["shop"]["stages"]["price"]["count"] == 1
    times = [one["time"] for one in (first, second, third)]
    while len(times) < 20 and times[-1] - times[-2] >= 1.5:
        times.append(next_document()["time"])  # a busy machine is late for some
    assert times[1] < times[2]
    assert times[-1] - times[-2] < 1.5
    # Those that come late are not made up for: about one a second at most.
    assert times[-1] - times[0] > 0.75 * (len(times) - 1)
    response.close()
    connection.close()


def test_history_grows_while_somebody_watches(ask, server, pipeline) -> None:
    """Rows are added once a second, for each stage and queue by column."""
    jobs = pipeline.queue(queue.Queue(10), "jobs")
    jobs.put(1)
    MONITOR.watch()
    until = time.monotonic() + 60
    found: dict = {}
    while time.monotonic() < until and len(found.get("times", ())) < 2:
        time.sleep(0.1)
        found = ask("/history").json["shop"]
    MONITOR.unwatch()
    assert len(found["times"]) >= 2
    assert set(found["stages"]["parse"]) == {
        *("rate", "errors", "p50", "p95", "p99", "busy", "blocked")
    }
    assert found["queues"]["jobs"]["size"][-1] == 1.0
    assert ask("/history?span=hours").json["shop"]["times"] == []


def test_a_tap_samples_events_and_costs_nothing_when_closed(server, pipeline) -> None:
    """In and out of a stage, as many as asked for, redacted; then all is as before."""
    stage = pipeline.stage(
        lambda event: {**event, "total": 3}, name="price", event_id=None
    )
    connection = http.client.HTTPConnection("127.0.0.1", server.port, timeout=60)
    connection.request("GET", "/tap/pri*?limit=2&interval=0.3")
    response = connection.getresponse()
    assert response.status == 200
    deadline = time.monotonic() + 60
    while not _sinks.TAPS and time.monotonic() < deadline:
        time.sleep(0.01)
    for number in range(50):
        stage({"id": number, "password": "hunter2", "card": "4111 1111 1111 1111"})
    lines = [json.loads(response.readline()) for _ in range(3)]
    response.close()
    connection.close()
    assert lines[2] == {"seen": 50, "shown": 2}
    for line in lines[:2]:
        assert (line["stage"], line["in"]["password"]) == ("price", "[redacted]")
        assert (line["out"]["total"], line["out"]["card"]) == (3, "[redacted]")
    while _sinks.TAPS and time.monotonic() < deadline:
        time.sleep(0.01)
    assert _sinks.TAPS == []
    assert not ALERT[0] & TAP


@pytest.mark.parametrize(
    ("query", "status"),
    [("limit=0", 400), ("limit=x", 400), ("interval=0", 400), ("interval=999", 400)],
)
def test_a_tap_has_bounds(ask, query, status) -> None:
    """What is too much, or makes no sense, is refused."""
    assert ask(f"/tap/parse?{query}").status == status


def test_a_tap_is_off_unless_it_was_allowed(pipeline) -> None:
    """By default nobody sees an event, and the answer says how to allow it."""
    with stagelight.serve("127.0.0.1:0") as server:
        answer = Client(server.port)("/tap/parse")
    assert answer.status == 403
    assert b"STAGELIGHT_TAP=1" in answer.body


def test_it_answers_while_the_programs_loop_is_blocked(pipeline) -> None:
    """The loop that serve() was called in is watched: it is told to be blocked."""

    async def main():
        with stagelight.serve("127.0.0.1:0") as server:
            await asyncio.sleep(0.05)
            ask = Client(server.port)
            beat = _heartbeats.HEARTBEATS["event loop"]
            beat.limit = 1.0
            answers = []

            def probe() -> None:
                until = time.monotonic() + 60
                while not answers or answers[-1].status == 200:
                    time.sleep(0.05)
                    MONITOR.tick()
                    answers.append(ask("/livez"))
                    if time.monotonic() > until:
                        return

            thread = threading.Thread(target=probe)
            thread.start()
            thread.join()  # the loop stands still as long
            return answers

    first, *_, answer = asyncio.run(main())
    assert first.status == 200
    assert answer.status == 503
    assert "event loop event loop is dead" in answer.json["output"]


def test_a_forked_child_serves_nothing_and_harms_nothing(server, ask) -> None:
    """The child has neither the socket nor the thread; the parent goes on."""
    pid = os.fork()
    if pid == 0:
        code = 1
        with contextlib.suppress(BaseException):
            server.close()
            code = 0 if server.closed and server._listener.fileno() == -1 else 2
        os._exit(code)
    assert os.waitstatus_to_exitcode(os.waitpid(pid, 0)[1]) == 0
    assert ask("/livez").status == 200


def test_it_is_an_asgi_application_to_mount(pipeline) -> None:
    """Under a path of another application probes and page work from there."""
    app = Starlette(routes=[Mount("/ops", stagelight.asgi_app())])

    def call(path, client="127.0.0.1"):
        sent = []

        async def send(message):
            sent.append(message)

        async def receive():
            return {"type": "http.request", "body": b"", "more_body": False}

        scope = {
            "type": "http",
            "method": "GET",
            "path": path,
            "raw_path": path.encode(),
            "root_path": "",
            "query_string": b"",
            "headers": [(b"host", b"127.0.0.1")],
            "client": (client, 5),
            "server": ("127.0.0.1", 80),
            "scheme": "http",
            "http_version": "1.1",
        }
        asyncio.run(app(scope, receive, send))
        return sent[0]["status"], b"".join(m.get("body", b"") for m in sent[1:])

    try:
        assert call("/ops/livez") == (200, b'{"status": "pass"}')
        assert call("/ops/")[0] == 200
        assert call("/ops/stats", client="192.0.2.1")[0] == 403
        assert call("/ops/readyz", client="192.0.2.1")[0] == 200
    finally:
        MONITOR.stop()


def test_configure_serves_where_the_settings_say_so() -> None:
    """With STAGELIGHT_LISTEN set configure() alone makes the page, else not."""
    source = """
    import os, threading, stagelight
    stagelight.configure()
    print(sorted(t.name for t in threading.enumerate() if "stagelight-" in t.name))
    """
    env = {"OTEL_SDK_DISABLED": "true"}
    on = run_program(source, env={**env, "STAGELIGHT_LISTEN": "127.0.0.1:0"})
    off = run_program(source, env=env)
    taken = run_program(source, env={**env, "STAGELIGHT_LISTEN": "0.0.0.0:0"})
    assert "'stagelight-monitor', 'stagelight-server'" in on.stdout
    assert (off.returncode, off.stdout) == (0, "[]\n")
    assert (taken.returncode, taken.stdout) == (0, "[]\n")
    assert "stagelight serves no page: 0.0.0.0 can be reached by others" in taken.stderr
