from __future__ import annotations

import contextlib
import hashlib
import json
import queue
import re
import threading
import time
from pathlib import Path

import pytest
from opentelemetry.sdk.trace import TracerProvider
from selenium.webdriver.common.by import By
from selenium.webdriver.common.keys import Keys
from selenium.webdriver.support.ui import Select

import stagelight
from harness.asking import Client
from harness.timing import least
from stagelight import _failures, _sinks, health
from stagelight._failures import _sampler
from stagelight._tracer import TRACER
from stagelight.health._monitor import MONITOR
from stagelight.server import serve_source

STATIC = Path(stagelight.__file__).parent / "server" / "static"


#: Texts, of HTML and of the graph, that stand out less than 4.5 to 1 from behind.
CONTRAST = """
  const brush = Object.assign(document.createElement("canvas"), { width: 1, height: 1 })
    .getContext("2d", { willReadFrequently: true });
  const mixed = (layers) => {  // the deepest first
    brush.clearRect(0, 0, 1, 1);
    for (const colour of layers) {
      brush.fillStyle = colour;
      brush.fillRect(0, 0, 1, 1);
    }
    return [...brush.getImageData(0, 0, 1, 1).data].slice(0, 3);
  };
  const light = (parts) => {
    const [r, g, b] = parts.map(v => (v /= 255) <= 0.03928 ? v / 12.92
      : ((v + 0.055) / 1.055) ** 2.4);
    return 0.2126 * r + 0.7152 * g + 0.0722 * b;
  };
  const behind = (element) => {
    const layers = [];
    for (let one = element; one; one = one.parentElement) {
      layers.unshift(getComputedStyle(one).backgroundColor);
      const drawn = one.tagName === "g"
        ? [...one.querySelectorAll(":scope > .frame, :scope > .level")] : [];
      if (!element.matches(".tag"))
        layers.splice(1, 0, ...drawn.filter(e => e.getBoundingClientRect().width > 1)
          .map(e => getComputedStyle(e).fill));
    }
    return layers;
  };
  const found = [];
  for (const one of document.querySelectorAll("body *")) {
    const own = [...one.childNodes].some(n => n.nodeType === 3 && n.data.trim());
    if (!own || !one.checkVisibility()) continue;
    if (one.closest(".hidden, .skip, noscript, script, title")) continue;
    const style = getComputedStyle(one), layers = behind(one);
    const colour = one.closest("svg") ? style.fill : style.color;
    const [a, b] = [light(mixed(layers)), light(mixed([...layers, colour]))];
    const ratio = (Math.max(a, b) + 0.05) / (Math.min(a, b) + 0.05);
    if (ratio < 4.5) found.push(`${one.className.baseVal ?? one.className}`
      + ` "${one.textContent.trim()}" ${ratio.toFixed(2)}`);
  }
  return [...new Set(found)];
"""
#: Every kind of label that there may be.
LABELS = """
  for (const base of ["pill", "pill small", "chip"])
    for (const kind of ["healthy", "degraded", "overloaded", "stalled", "starting",
                        "bottleneck", "critical", "warning", "finding", "pool"]) {
      const one = document.createElement("span");
      one.className = `${base} ${kind}`;
      one.textContent = `${base} ${kind}`;
      document.querySelector("#alerts").append(one);
    }
  for (const kind of ["hot", "held", "worst"]) {
    const one = document.querySelector("g.stage").cloneNode(true);
    one.classList.add(kind);
    one.querySelector(".tag").textContent = "bottleneck";
    document.querySelector("#graph svg").append(one);
  }
  for (const kind of ["half", "full"]) {
    const one = document.querySelector("g.queue").cloneNode(true);
    one.classList.add(kind);
    one.querySelector(".level").setAttribute("width", 100);
    document.querySelector("#graph svg").append(one);
  }
"""


@pytest.fixture
def traced():
    """Every journey is traced, to nowhere."""
    before = (TRACER.provider, TRACER.budget, TRACER.enabled)
    provider = TracerProvider(shutdown_on_exit=False)
    TRACER.configure(provider, None)
    yield
    provider.shutdown()
    TRACER.provider, TRACER.budget, TRACER.enabled = before
    TRACER.refresh(anew=True)


def run_some(pipeline, number=120):
    """A queue and two stages, some events of which failed."""
    jobs = pipeline.queue(queue.Queue(50), "jobs")
    parse = pipeline.stage(lambda event: event, name="parse")

    def price(event):
        if event % 10 == 0:
            raise LookupError(f"no price for {event}")
        time.sleep(0.001)

    price = pipeline.stage(price, name="price", event_id=lambda event: event)
    for event in range(1, number + 1):
        jobs.put(parse(event))
        try:
            price(jobs.get())
        except LookupError:
            continue
    for event in range(7):
        jobs.put(event)
    return jobs


def test_the_values_on_screen_are_those_of_stats(page, pipeline) -> None:
    """Counts, errors, quantiles and sizes on the page are the document's own."""
    jobs_queue = run_some(pipeline)
    page.open()
    page.until(lambda: page.cell("price", "count") == "120")
    document = Client(page.server.port)("/stats").json["pipelines"]["shop"]
    for name, stage in document["stages"].items():
        assert page.cell(name, "count") == f"{stage['count']:,}"
        assert page.cell(name, "retries") == f"{stage['retries']:,}"
    (small,) = page.texts('tr[data-name="price"] [data-field="errors"] .small')
    assert small == str(document["stages"]["price"]["errors"]["LookupError"]) == "12"
    jobs = document["queues"]["jobs"]
    assert page.cell("jobs", "filled") == f"{jobs['size']} / {jobs['capacity']}"
    assert page.cell("jobs", "enqueued") == f"{jobs['enqueued']:,}"
    assert page.texts('[data-queue="jobs"] .size') == ["7/50"]
    seconds = "return import('./static/format.js').then(f => f.seconds(arguments[0]))"
    p95 = page.js(seconds, document["journeys"]["p95"])
    assert p95 in page.texts("#figures dd")
    assert jobs_queue.qsize() == 7
    assert page.complaints() == []


def test_groups_of_failed_events_with_their_hints(
    page, pipeline, traced, tmp_path
) -> None:
    """Where events are kept: counts, times, example, trace, ranked hints; a filter."""
    assert page.server
    shop = stagelight.Capture(tmp_path / "kept", attributes=("source",))
    _failures.install(shop)
    try:
        sampler = _sampler._INSTALLED[0]

        @pipeline.stage(name="price")
        def price(event):
            if event["source"] == "eu-3":
                raise LookupError(f"no price for {event['id']}")
            if event["id"] == 199:
                raise KeyError("token=s3cr3t-value")

        for number in range(200):
            sampler.mark()
            source = "eu-3" if number % 8 == 0 else f"us-{number % 4}"
            with contextlib.suppress(LookupError):
                price({"id": number, "source": source})
        assert _failures.flush(20)
        page.open()
        page.until(lambda: len(page.texts("#groups li")) == 2)
        first, second = page.texts("#groups li")
        assert "25 \u00d7" in first
        assert "LookupError" in first
        assert "1 \u00d7" in second
        assert "25 kept" in first
        assert "event 192" in first
        (hint,) = page.texts("#groups .hint")
        assert hint.startswith("100% of these failures have source=eu-3 (0% of")
        links = (
            "return [...document.querySelectorAll('#groups a.trace')].map(a => a.href)"
        )
        assert re.fullmatch(
            r"http://jaeger\.test/trace/[0-9a-f]{32}", page.js(links)[0]
        )
        assert "s3cr3t-value" not in page.texts("body")[0]
        box = page.driver.find_element(By.ID, "groups-filter")
        box.send_keys("keyerror")
        page.until(lambda: len(page.texts("#groups li")) == 1)
        box.send_keys("nothing of the kind")
        page.until(lambda: page.texts("#groups") == ["No group has such words."])
        assert page.complaints() == []
    finally:
        _failures.uninstall()


def test_without_capture_there_are_no_groups(page, pipeline) -> None:
    """The card is hidden, and nothing is asked for."""
    pipeline.stage(lambda event: event, name="parse")(1)
    page.open()
    hidden = "return document.getElementById('groups-card').hidden"
    assert page.js(hidden)
    answer = Client(page.server.port)("/failures").json
    assert answer == {"groups": [], "kept": 0, "dropped": {}}


def test_a_fault_appears_within_two_seconds(page, pipeline, traced) -> None:
    """A running pipeline begins to fail: the page tells stage, event and trace."""
    broken: list[type[OSError]] = []
    over = threading.Event()

    def price(event):
        if broken:
            raise broken[-1]("pricing service did not answer")

    stage = pipeline.stage(price, name="price", event_id=lambda event: event)

    def work() -> None:
        number = 0
        while not over.wait(0.01):
            number += 1
            try:
                stage(number)
            except OSError:
                continue

    thread = threading.Thread(target=work)
    thread.start()
    try:
        page.open()
        page.until(lambda: page.texts("#live") == ["live"])
        time.sleep(1)
        assert page.texts("#failed strong") == []
        faults = iter((TimeoutError, ConnectionResetError, BrokenPipeError))

        def fail() -> float:
            broken.append(next(faults))
            name = broken[-1].__name__
            return page.until(lambda: page.texts("#failed .error")[:1] == [name])

        assert least(fail, 2, tries=3) < 2
        assert "price" in page.texts("#failed strong")
        link = page.js("return document.querySelector('#failed a.trace').href")
        assert re.fullmatch(r"http://jaeger\.test/trace/[0-9a-f]{32}", link)
        alarm = 'tr[data-name="price"] [data-field="errors"][data-alarm="yes"]'
        page.until(lambda: page.texts(alarm))
    finally:
        over.set()
        thread.join()
    assert page.complaints() == []


def test_the_bottleneck_and_its_gain_are_told(page, pipeline) -> None:
    """Behind a full queue the slow stage is named, marked in the graph, with a gain."""
    jobs = pipeline.queue(queue.Queue(5), "jobs")
    over = threading.Event()
    slow = pipeline.stage(lambda event: time.sleep(0.02), name="slow")

    def feed() -> None:
        while not over.is_set():
            jobs.put("x")

    def work() -> None:
        while not over.is_set():
            slow(jobs.get())

    threads = [threading.Thread(target=one, daemon=True) for one in (feed, work)]
    for thread in threads:
        thread.start()
    try:
        page.open()
        words = "slow is the bottleneck: one more worker gives +"
        page.until(lambda: page.texts("#bottleneck")[0].startswith(words))
        assert page.texts(".stage.worst .tag") == ["bottleneck"]
        page.until(lambda: page.texts(".queue.full .size"))
        assert page.cell("slow", "worked").endswith("%")
        page.until(lambda: int(page.cell("slow", "worked").rstrip("%")) > 90)
    finally:
        over.set()
        jobs.get()
        for thread in threads:
            thread.join(5)


def test_health_and_its_history_are_shown(page, pipeline) -> None:
    """A change of state appears with its reason, in head, graph, table and history."""
    pipeline.stage(lambda event: event, name="price")(1)
    page.open()
    page.until(lambda: page.texts("#state") == ["healthy"])
    health.flag("disk", "the disk is 93% full", pipeline="shop", stage="price")
    MONITOR.tick()
    try:
        page.until(lambda: page.texts("#state") == ["degraded"])
        assert page.texts("#reason") == ["price: the disk is 93% full"]
        assert page.texts('tr[data-name="price"] .chip') == ["degraded"]
        assert page.texts("#health .pill") == ["healthy", "degraded"]
        assert page.js("return document.title").startswith("degraded: ")
        label = page.js("return document.querySelector('g.stage').ariaLabel")
        assert "degraded" in label
    finally:
        health.unflag("disk")


def test_it_is_used_by_keyboard_and_read_aloud(page, pipeline) -> None:
    """Stages are reached and opened by keys; everything has a name or is left out."""
    run_some(pipeline)
    page.open()
    body = page.driver.find_element(By.TAG_NAME, "body")
    body.send_keys(Keys.TAB)
    assert page.js("return document.activeElement.textContent") == "Skip to the stages"
    for _ in range(20):
        page.driver.switch_to.active_element.send_keys(Keys.TAB)
        focused = page.js("return document.activeElement.getAttribute('data-stage')")
        if focused == "price":
            break
    assert focused == "price"
    page.driver.switch_to.active_element.send_keys(Keys.ENTER)
    page.until(lambda: page.texts("#detail-title") == ["price"])
    assert page.js("return document.querySelectorAll('#detail canvas').length") == 3
    page.driver.switch_to.active_element.send_keys(Keys.ESCAPE)
    page.until(lambda: page.js("return document.getElementById('detail').hidden"))
    nameless = page.js("""
      return [...document.querySelectorAll("button, select, input, [role=button], a")]
        .filter(e => e.checkVisibility())
        .filter(e => !(e.textContent.trim() || e.getAttribute("aria-label")
                       || e.labels?.length))
        .map(e => e.outerHTML)
    """)
    assert nameless == []
    assert page.js("return document.querySelectorAll('main section h2').length") >= 5
    assert page.js("return document.querySelector('[aria-live]').textContent")
    assert page.js("return document.documentElement.lang") == "en"
    heads = page.js("return document.querySelectorAll('tbody th[scope=row]').length")
    assert heads == 3


@pytest.mark.parametrize("width", [390, 768, 1440, 1920])
@pytest.mark.parametrize("dark", [False, True])
def test_every_width_and_colour_scheme_is_readable(page, pipeline, width, dark) -> None:
    """Nothing sticks out sideways, and text stands out from what is behind it."""
    run_some(pipeline)
    page.open(width, dark=dark)
    overflow = "return document.documentElement.scrollWidth - innerWidth"
    assert page.js(overflow) <= 0
    page.js(LABELS)
    assert page.js(CONTRAST) == []
    background = page.js("return getComputedStyle(document.body).backgroundColor")
    assert (background == "rgb(12, 16, 22)") == dark
    assert page.complaints() == []


def test_the_theme_is_chosen_and_kept(page, pipeline) -> None:
    """The button switches, and the choice outlives a reload."""
    run_some(pipeline, 10)
    page.open()
    page.driver.find_element(By.ID, "theme").click()
    assert page.js("return document.documentElement.dataset.theme") == "dark"
    page.open()
    assert page.js("return document.documentElement.dataset.theme") == "dark"
    page.js("localStorage.clear()")


def test_names_cannot_do_anything(page, pipeline) -> None:
    """Names with markup are shown as they are, and no script of theirs runs."""
    evil = "<img src=x onerror=document.title='owned'>"
    jobs = pipeline.queue(queue.Queue(), "<b>q</b>")
    stage = pipeline.stage(lambda event: event, name=evil)
    jobs.put(1)
    stage(jobs.get())
    page.open()
    assert evil in page.texts("tbody .label")
    assert page.js("return document.querySelectorAll('main img').length") == 0
    assert page.js("return document.title") != "owned"


def test_it_needs_nothing_from_elsewhere(page, pipeline) -> None:
    """Every request goes to the same server: it works without a network."""
    run_some(pipeline, 10)
    page.open()
    script = "return performance.getEntriesByType('resource').map(e => e.name)"
    assert all(name.startswith(page.server.url) for name in page.js(script))


@pytest.mark.parametrize("width", [390, 1440])
def test_fifty_stages_are_readable(page, pipeline, width) -> None:
    """The graph is broken into rows at a legible scale; the table can be filtered."""
    before = None
    for number in range(50):
        after = pipeline.queue(queue.Queue(9), f"queue-{number}")
        stage = pipeline.stage(lambda event: event, name=f"stage-{number}")
        if before is not None:
            stage(before.get())
        else:
            stage(0)
        after.put(number)
        before = after
    page.open(width)
    assert page.js("return document.documentElement.scrollWidth - innerWidth") <= 0
    assert len(page.texts("g.stage")) == 50
    size = page.js("""
      const name = document.querySelector("g.stage .name").getBoundingClientRect();
      const box = document.querySelector("#graph svg").getBoundingClientRect();
      return [name.height, box.width, document.querySelector("#graph").clientWidth];
    """)
    assert size[0] > 11
    assert size[1] <= size[2] + 1
    boxes = page.js("""
      return [...document.querySelectorAll("g.stage .frame, g.queue .frame")]
        .map(e => e.getBoundingClientRect())
        .map(b => [b.left, b.top, b.right, b.bottom]);
    """)
    for place, one in enumerate(boxes):
        for other in boxes[place + 1 :]:
            apart = one[2] <= other[0] or other[2] <= one[0]
            assert apart or one[3] <= other[1] or other[3] <= one[1]
    field = page.driver.find_element(By.ID, "filter")
    field.send_keys("stage-4")
    page.until(lambda: len(page.texts("#stage-table tbody tr")) == 11)
    assert page.complaints() == []


def test_hours_cost_constant_memory_in_the_browser(page, pipeline) -> None:
    """A day of rows leaves 300 of each column."""
    run_some(pipeline, 10)
    page.open()
    lengths = page.js("""
      return import("./static/series.js").then(({ Series }) => {
        const series = new Series();
        const duration = { p50: 1, p95: null, p99: null };
        const add = (time, stages) => series.add({ time, last: { p: { stages } },
          pipelines: { p: { queues: {}, pools: {}, insight: { queues: {},
            stages: { s: { duration }, t: { duration } } } } } });
        for (let at = 0; at < 86400; at += 10) add(at, { s: { rate: at } });
        add(86410, { s: { rate: 1 }, t: { rate: 2 } });
        return [series.times("p").length,
                series.column("p", "stages", "s", "rate").length,
                series.column("p", "stages", "t", "rate").length];
      });
    """)
    assert lengths == [300, 300, 300]


def test_it_says_when_there_is_no_news_and_comes_back(page, pipeline) -> None:
    """A process that is gone shows; when it is there again the page goes on."""
    run_some(pipeline, 10)
    page.open()
    page.until(lambda: page.texts("#live") == ["live"])
    port = page.server.port
    page.server.close()
    page.until(lambda: page.texts("#live")[0].startswith("no news for"))
    with stagelight.serve(f"127.0.0.1:{port}"):
        page.until(lambda: page.texts("#live") == ["live"])
    page.complaints()


def test_what_is_vendored_is_what_it_says() -> None:
    """Each third-party file has the checksum of its list, and a licence beside it."""
    rows = re.findall(
        r"^(\S+)\s+(\d\S+)\s+(\S+)\s+(\S+)\s+([0-9a-f]{64})$",
        (STATIC / "VENDORED.txt").read_text(encoding="utf-8"),
        re.MULTILINE,
    )
    assert {row[0] for row in rows} == {"uplot", "@dagrejs/dagre"}
    for _, _, licence, name, digest in rows:
        assert licence == "MIT"
        assert hashlib.sha256((STATIC / name).read_bytes()).hexdigest() == digest
    for name in ("uPlot", "dagre"):
        text = (STATIC / f"{name}.LICENSE.txt").read_text(encoding="utf-8")
        assert "Permission is hereby granted, free of charge" in text


class Service:
    """Three processes as one, as a fleet tells of them; and one of them alone."""

    def __init__(self, document) -> None:
        self.whole = document

    def document(self, instance: str, *, live: bool = False) -> bytes:
        """What Prometheus does not know is not there."""
        number = 1 if instance else 3
        document = {
            **self.whole,
            "time": time.time(),
            "instances": ["10.0.0.1:9464", "10.0.0.2:9464", "10.0.0.3:9464"],
            "process": {**self.whole["process"], "telemetry_cost": None, "pid": 0},
            "alerts": [{"name": "StageSaturated", "severity": "warning"}],
        }
        text = json.dumps(document)
        found = json.loads(text)
        found["pipelines"]["shop"]["stages"]["price"]["count"] = 100 * number
        found["pipelines"]["shop"]["insight"]["cores"] = None
        return json.dumps(found).encode()

    def history(self, instance: str, *, hours: bool) -> dict:
        """Nobody watched so far."""
        return {}

    def watch(self) -> None:
        """Nothing changes."""

    def unwatch(self) -> None:
        """Nothing changes."""


def test_a_whole_service_is_shown_and_each_of_its_processes(page, pipeline) -> None:
    """All together at first; one of them alone when it is picked."""
    run_some(pipeline, 10)
    document = Client(page.server.port)("/stats").json
    with serve_source(Service(document), "127.0.0.1:0") as fleet:
        page.server = fleet
        page.open()
        page.until(lambda: page.cell("price", "count") == "300")
        assert page.texts("#where")[0].startswith("3 processes")
        assert page.texts("#failed-title") == ["Failures by stage"]
        (errors,) = page.texts("#failed [data-stage-errors]")
        assert errors.split()[0] == "price"
        assert "LookupError 1" in errors
        (alert,) = page.texts("#alerts li")
        assert "StageSaturated" in alert
        picker = Select(page.driver.find_element(By.ID, "process"))
        assert [one.text for one in picker.options][:2] == ["all", "10.0.0.1:9464"]
        picker.select_by_visible_text("10.0.0.2:9464")
        page.until(lambda: page.cell("price", "count") == "100")
        assert page.complaints() == []


def test_alerts_that_fire(page, pipeline, monkeypatch) -> None:
    """An alert shows what it means, explains and hangs in; no victim is shown."""
    run_some(pipeline)
    stack = (
        "worker-1, for 90 s:\n" + "/srv/a/very/long/path/of/a/program.py:7 wait " * 4
    )
    told = {
        "name": "StageWorkerStuck",
        "severity": "warning",
        "state": "firing",
        "began": time.time() - 90,
        "summary": "A worker of stage price is stuck",
        "description": "Its oldest call has run for 90 s (limit: 2m).",
        "runbook_url": "https://example.com/runbooks#stuck",
        "victims": ["StageSaturated of price"],
        "stack": stack,
        "explained_by": "",
    }
    victim = {**told, "name": "StageSaturated", "explained_by": "StageWorkerStuck of x"}
    monkeypatch.setattr(_sinks, "ALERTS", [lambda: [told, victim]])
    page.open(width=900)
    page.until(lambda: page.texts("#alerts .chip.warning"))
    (text,) = page.texts("#alerts li")
    assert "StageWorkerStuck" in text
    assert "It explains StageSaturated of price." in text
    assert "worker-1, for 90 s" in text
    link = "return document.querySelector('#alerts a').href"
    assert page.js(link) == told["runbook_url"]
    wide = "return document.documentElement.scrollWidth - innerWidth"
    assert page.js(wide) <= 0
    assert page.complaints() == []


def test_hints_are_no_alerts(page, pipeline, monkeypatch) -> None:
    """What a stage seldom did is told beside the findings, with value and time."""
    run_some(pipeline)
    hint = {
        "pipeline": pipeline.name,
        "stage": "price",
        "what": "throughput",
        "value": 12.0,
        "score": 0.97,
        "time": time.time(),
    }
    monkeypatch.setattr(_sinks, "HINTS", [lambda: [hint]])
    page.open()
    page.until(lambda: page.texts("#alerts .chip.hint"))
    (text,) = (one for one in page.texts("#alerts li") if "unusual" in one)
    assert "price: unusual throughput" in text
    assert "12.0/s at " in text
    assert page.complaints() == []
