from __future__ import annotations

import re
from collections import Counter
from typing import TYPE_CHECKING

import pytest

from harness.frameworks import observe

if TYPE_CHECKING:
    from pathlib import Path

    from harness import OtlpReceiver

PROGRAM = """
import http.server, sys, threading
import scrapy
from scrapy.crawler import CrawlerProcess
from scrapy.exceptions import DropItem

class Server(http.server.BaseHTTPRequestHandler):
    failures = {"/2": 1, "/4": 9}
    def do_GET(self):
        left = self.failures.get(self.path, 0)
        self.failures[self.path] = left - 1
        body = b"<html><body>page</body></html>"
        self.send_response(302 if self.path == "/old" else 503 if left > 0 else 200)
        if self.path == "/old":
            self.send_header("Location", "/3")
        self.send_header("Content-Type", "text/html")
        self.send_header("Content-Length", str(len(body)))
        self.end_headers()
        self.wfile.write(body)
    def log_message(self, *args):
        pass

server = http.server.ThreadingHTTPServer(("127.0.0.1", 0), Server)
threading.Thread(target=server.serve_forever, daemon=True).start()
root = f"http://127.0.0.1:{server.server_port}"

class Evens:
    def process_item(self, item):
        if item["n"] % 2:
            raise DropItem("odd")
        return item

class Store:
    seen = []
    async def process_item(self, item):
        if item["n"] == 6:
            raise ValueError("six")
        self.seen.append(item["n"])
        return item

class Pages(scrapy.Spider):
    name = "pages"
    async def start(self):
        for path in ("/1", "/2", "/old"):
            yield scrapy.Request(root + path)
    def parse(self, response):
        n = int(response.url[-1])
        yield {"n": n}
        if n == 1:
            yield response.follow("/4", errback=self.failed)
            yield response.follow("/5", callback=self.detail)
    async def detail(self, response):
        for n in (6, 7, 8):
            yield {"n": n}
        raise LookupError("after eight")
    def failed(self, failure):
        yield {"n": 10}

process = CrawlerProcess({
    "ITEM_PIPELINES": {Evens: 1, Store: 2}, "RETRY_TIMES": 2, "LOG_ENABLED": False,
    "TELNETCONSOLE_ENABLED": False, "DOWNLOAD_DELAY": 0, "ROBOTSTXT_OBEY": False,
    **({"TWISTED_REACTOR": "twisted.internet.selectreactor.SelectReactor"}
       if sys.argv[1] == "select" else {}),
})
process.crawl(Pages)
process.start()
print(sorted(Store.seen))
"""


@pytest.mark.parametrize("reactor", ["asyncio", "select"])
def test_crawl(reactor: str, receiver: OtlpReceiver, tmp_path: Path):
    """Downloads, callbacks and item pipelines are stages; requests are a queue."""
    observed = observe(receiver, PROGRAM, reactor, cwd=tmp_path)
    assert observed.run.stdout == "[2, 8, 10]\n"
    stages = observed.pipeline["stages"]
    found = {name: stage["outcomes"] for name, stage in stages.items()}
    assert found == {
        # /1 /2 /2 /old /3 /5 and /4 three times
        "download": {"success": 9},
        "pages.parse": {"success": 3},
        "pages.detail": {"failure": 1},
        "pages.failed": {"success": 1},
        "Evens": {"success": 4, "dropped": 3},
        "Store": {"success": 3, "failure": 1},
    }
    assert stages["Evens"]["dropped"] == {"DropItem": 3}
    assert stages["download"]["retries"] == 3
    assert stages["Store"]["errors"] == {"ValueError": 1}
    queue = observed.pipeline["queues"]["requests"]
    assert (queue["enqueued"], queue["dequeued"], queue["wait"]["count"]) == (9, 9, 9)
    ingest = {f"ingest {observed.pipeline['name']}": 1}
    calls = {
        "process download": 9,
        "process pages.parse": 3,
        "process pages.detail": 1,
        "process pages.failed": 1,
        "process Evens": 7,
        "process Store": 4,
    }
    assert list(observed.traces().values()) == [{**ingest, **calls}]
    parents = {above for name, above in observed.tree() if name.startswith("process")}
    assert parents == {*ingest}


RULES = """
import http.server, threading
from scrapy.crawler import CrawlerProcess
from scrapy.exceptions import CloseSpider
from scrapy.linkextractors import LinkExtractor
from scrapy.spiders import CrawlSpider, Rule

class Server(http.server.BaseHTTPRequestHandler):
    def do_GET(self):
        body = b'<a href="/list">all</a><a href="/item1">1</a><a href="/item2">2</a>'
        self.send_response(200)
        self.send_header("Content-Type", "text/html")
        self.send_header("Content-Length", str(len(body)))
        self.end_headers()
        self.wfile.write(body)
    def log_message(self, *args):
        pass

server = http.server.ThreadingHTTPServer(("127.0.0.1", 0), Server)
threading.Thread(target=server.serve_forever, daemon=True).start()

class Pages(CrawlSpider):
    name = "pages"
    start_urls = [f"http://127.0.0.1:{server.server_port}/"]
    rules = [Rule(LinkExtractor("list")), Rule(LinkExtractor("item"), callback="item")]
    def item(self, response):
        yield {"url": response.url}
        if response.url.endswith("2"):
            raise CloseSpider("enough")

process = CrawlerProcess({"LOG_ENABLED": False, "TELNETCONSOLE_ENABLED": False})
process.crawl(Pages)
process.start()
"""


def test_rules_name_callbacks(receiver: OtlpReceiver, tmp_path: Path):
    """Callbacks of rules have their own names; closing the spider is no failure."""
    observed = observe(receiver, RULES, cwd=tmp_path)
    stages = observed.pipeline["stages"]
    assert stages["pages.parse"]["outcomes"] == {"success": 2}
    assert stages["pages.item"]["outcomes"] == {"success": 1, "cancelled": 1}


MANY = """
import sys
import scrapy
from scrapy.crawler import CrawlerProcess

class Store:
    def process_item(self, item):
        return item

class Pages(scrapy.Spider):
    async def start(self):
        for n in range(100):
            yield scrapy.Request(f"data:,{n}", dont_filter=True)
    def parse(self, response):
        yield {"n": int(response.text)}
        yield response.request.replace(url="data:,9" + response.text, callback=self.more)
    def more(self, response):
        if response.text == "950":
            raise ValueError(response.text)
        return {"n": int(response.text)}

settings = {
    "ITEM_PIPELINES": {Store: 1}, "LOG_ENABLED": False, "TELNETCONSOLE_ENABLED": False,
}
process = CrawlerProcess(settings)
for name in sys.argv[1:]:
    kept = {"JOBDIR": "jobs"} if name == "disk" else {}
    process.crawl(type(name, (Pages,), {"name": name, "custom_settings": kept}))
process.start()
"""


def test_a_crawl_is_one_trace(receiver: OtlpReceiver, tmp_path: Path):
    """Hundreds of requests, of a queue in memory or on disk, are in their crawl's."""
    observed = observe(receiver, MANY, "disk", "other", cwd=tmp_path)
    both = {"process download": 200, "process Store": 199}
    both[f"ingest {observed.pipeline['name']}"] = 1
    assert sorted(observed.traces().values(), key=str) == [
        {**both, f"process {name}.parse": 100, f"process {name}.more": 100}
        for name in ("disk", "other")
    ]
    queue = observed.pipeline["queues"]["requests"]
    assert (queue["enqueued"], queue["dequeued"], queue["size"]) == (400, 400, 0)


@pytest.mark.parametrize("rate", ["all", "5", "0"])
def test_a_crawl_that_outgrows_a_trace(
    rate: str, receiver: OtlpReceiver, tmp_path: Path
):
    """It goes on in linked ones; the head sample is drawn for each request."""
    env = {"STAGELIGHT_JOURNEYS_PER_SECOND": rate}
    env["STAGELIGHT_SPANS_PER_TRACE"] = "150" if rate == "all" else "900"
    observed = observe(receiver, MANY, "pages", cwd=tmp_path, env=env)
    traces = list(observed.traces().values())
    roots = [span for span in observed.spans if span.name.startswith("ingest")]
    assert len(roots) == len(traces)
    assert {span.parent_id for span in observed.spans} == {
        "",
        *(span.span_id for span in roots),
    }
    failed = [span.name for span in observed.spans if span.status.code == "ERROR"]
    assert failed == ["process pages.more"]
    if rate == "all":
        assert 4 <= len(traces) <= 5
        assert sorted(len(root.links) for root in roots) == [0, *[1] * len(roots[1:])]
    else:
        assert len(traces) == 1
        few = 2 if rate == "0" else 10
        assert few <= traces[0].total() < 300, traces


@pytest.mark.slow
def test_scrapy_bench(receiver: OtlpReceiver, tmp_path: Path):
    """Scrapy's own benchmark: as many callbacks as responses that it says it got."""
    observed = observe(
        receiver,
        "scrapy",
        "bench",
        "-s",
        "CLOSESPIDER_TIMEOUT=3",
        module=True,
        compare=False,
        cwd=tmp_path,
    )
    told = re.search(r"'response_received_count': (\d+)", observed.run.stderr)
    assert told is not None, observed.run.stderr
    assert (observed.run.returncode, observed.bare.returncode) == (0, 0)
    counts = Counter(observed.counts())
    assert counts["follow.parse"] == int(told[1]) > 0
    bare = re.search(r"'response_received_count': (\d+)", observed.bare.stderr)
    assert bare is not None
    assert len(observed.traces()) == 1
    print(f"scrapy bench: {bare[1]} responses bare, {told[1]} observed")  # noqa: T201
