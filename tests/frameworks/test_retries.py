from __future__ import annotations

import textwrap
from typing import TYPE_CHECKING, Any

import pytest

from harness.frameworks import observe

if TYPE_CHECKING:
    from pathlib import Path

    from harness import OtlpReceiver

STAGE = """
class Fetch:
    def process(self, event):
        return fetch({"id": event})

fetch_ = Fetch()
for number in range(3):
    try:
        print(fetch_.process(number))
    except Exception as error:
        print(type(error).__name__)
"""
#: Event 0 works at once, 1 after two failures, 2 never; three attempts at most.
WORK = """
calls = {}
def attempt(event):
    number = calls[event["id"]] = calls.get(event["id"], 0) + 1
    if event["id"] == 2 or event["id"] == 1 and number < 3:
        raise ConnectionError(f"{event['id']} {number}")
    return number
"""
TENACITY = """
import tenacity
@tenacity.retry(stop=tenacity.stop_after_attempt(3), wait=tenacity.wait_fixed(0.01))
def fetch(event):
    return attempt(event)
"""
TENACITY_BLOCK = """
import tenacity
def fetch(event):
    for one in tenacity.Retrying(
        stop=tenacity.stop_after_attempt(3), wait=tenacity.wait_fixed(0.01), reraise=True
    ):
        with one:
            return attempt(event)
"""
TENACITY_ASYNC = """
import asyncio, tenacity
@tenacity.retry(stop=tenacity.stop_after_attempt(3), wait=tenacity.wait_fixed(0.01))
async def once(event):
    return attempt(event)
def fetch(event):
    return asyncio.run(once(event))
"""
STAMINA = """
import stamina
seen = []
stamina.instrumentation.set_on_retry_hooks([seen.append])
@stamina.retry(on=ConnectionError, attempts=3, wait_initial=0.01, wait_max=0.01,
               wait_jitter=0)
def fetch(event):
    return attempt(event)
import atexit
atexit.register(lambda: print(len(seen), stamina.instrumentation.get_on_retry_hooks() == (seen.append,)))
"""
BACKOFF = """
import backoff
@backoff.on_exception(backoff.constant, ConnectionError, interval=0.01, max_tries=3,
                      jitter=None)
def fetch(event):
    return attempt(event)
"""
BACKOFF_PREDICATE = """
import backoff
@backoff.on_predicate(backoff.constant, lambda found: found is None, interval=0.01,
                      max_tries=3, jitter=None, on_giveup=lambda details: None)
def fetch(event):
    try:
        return attempt(event)
    except ConnectionError:
        return None
"""
LIBRARIES = {
    "tenacity": TENACITY,
    "tenacity-block": TENACITY_BLOCK,
    "tenacity-async": TENACITY_ASYNC,
    "stamina": STAMINA,
    "backoff": BACKOFF,
    "backoff-predicate": BACKOFF_PREDICATE,
}


def told(receiver: OtlpReceiver, name: str) -> list[dict[str, Any]]:
    """Attributes of the log events of one name."""
    return [log.attributes for log in receiver.logs() if log.event_name == name]


@pytest.mark.parametrize("library", LIBRARIES)
def test_retries(library: str, receiver: OtlpReceiver, tmp_path: Path):
    """A stage keeps one span for all attempts; repeats, waits and give-ups are told."""
    program = "\n".join(map(textwrap.dedent, (WORK, LIBRARIES[library], STAGE)))
    observed = observe(receiver, program, cwd=tmp_path)
    stage = observed.pipeline["stages"]["Fetch"]
    assert (stage["count"], stage["retries"]) == (3, 4)
    spans = [span for span in observed.spans if span.name == "process Fetch"]
    assert [span.attributes.get("stagelight.retry.count") for span in spans] == [
        None,
        2,
        2,
    ]
    waited = [span.attributes.get("stagelight.retry.wait.duration") for span in spans]
    assert waited[1:] == pytest.approx([0.02, 0.02])
    assert [span.attributes.get("stagelight.retry.given_up") for span in spans] == [
        None,
        None,
        True,
    ]
    name = library.partition("-")[0]
    (first,) = told(receiver, "stagelight.stage.retry")
    assert first["stagelight.retry.library"] == name
    assert first["stagelight.attempt"] == 1
    (last,) = told(receiver, "stagelight.stage.retry.given_up")
    assert (last["stagelight.attempt"], last["stagelight.retry.library"]) == (3, name)


URLLIB3 = """
import http.server, threading, urllib3
class Server(http.server.BaseHTTPRequestHandler):
    answers = [503, 503, 200, 302, 200, 503, 503, 503]
    def do_GET(self):
        status = self.answers.pop(0)
        self.send_response(status)
        if status == 302:
            self.send_header("Location", "/elsewhere")
        self.send_header("Content-Length", "0")
        self.end_headers()
    def log_message(self, *args):
        pass
server = http.server.HTTPServer(("127.0.0.1", 0), Server)
threading.Thread(target=server.serve_forever, daemon=True).start()
pool = urllib3.PoolManager(
    retries=urllib3.Retry(2, backoff_factor=0.01, status_forcelist=[503])
)
class Fetch:
    def process(self, event):
        return pool.request("GET", f"http://127.0.0.1:{server.server_port}/").status
fetch = Fetch()
for number in range(3):
    try:
        print(fetch.process(number))
    except urllib3.exceptions.MaxRetryError as error:
        print(type(error.reason).__name__)
"""


def test_urllib3(receiver: OtlpReceiver, tmp_path: Path):
    """What urllib3 repeats counts on the stage; a redirect that it follows does not."""
    observed = observe(receiver, URLLIB3, cwd=tmp_path)
    assert observed.run.stdout == "200\n200\nResponseError\n"
    stage = observed.pipeline["stages"]["Fetch"]
    assert (stage["count"], stage["retries"]) == (3, 4)
    assert stage["errors"] == {"urllib3.exceptions.MaxRetryError": 1}
    (last,) = told(receiver, "stagelight.stage.retry.given_up")
    assert last["stagelight.retry.library"] == "urllib3"
