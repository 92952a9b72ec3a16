"""Scrapy: the scheduler's queue, downloads, spider callbacks, item pipelines.

A crawl is a run, with one trace. In it a journey begins with each request and goes on
through its retries, its response and the items found in it. What belongs together is
noted beside requests and responses, never in them.
"""

from __future__ import annotations

import inspect
import weakref
from collections.abc import AsyncIterator
from contextvars import ContextVar
from typing import TYPE_CHECKING, Any, Final

from stagelight import _guard, _names
from stagelight._aside import step_aside
from stagelight._tracer import TRACER
from stagelight.instrumentation.frameworks._attempts import given_up, retrying
from stagelight.instrumentation.frameworks._calls import Call
from stagelight.instrumentation.frameworks._delivery import Delivery, part
from stagelight.instrumentation.frameworks._lazy import Lazy
from stagelight.instrumentation.frameworks._run_trace import RunTrace, exported
from stagelight.instrumentation.frameworks._steps import means, qualified, step
from stagelight.instrumentation.frameworks._waiting import giving, noting
from stagelight.instrumentation.frameworks._wrapper import Wrapper
from stagelight.instrumentation.frameworks._wrapping import PLACE, observed

if TYPE_CHECKING:
    from collections.abc import Callable

    from stagelight._journey import Journey
    from stagelight._records import Kind
    from stagelight.instrumentation.frameworks._patches import Patches

#: Crawler -> its trace.
_CRAWLS: Final[weakref.WeakKeyDictionary[Any, RunTrace]] = weakref.WeakKeyDictionary()
#: Request or response -> its journey.
_JOURNEYS: Final[weakref.WeakKeyDictionary[Any, Journey]] = weakref.WeakKeyDictionary()
#: Journey of the response whose output the running task processes.
_CURRENT: Final[ContextVar[Journey | None]] = ContextVar("scrapy", default=None)


def _request(module: Any, patches: Patches) -> None:
    patches.after(module.Request, "replace", _replaced)


def _scheduler(module: Any, patches: Patches) -> None:
    patches.replace(module.Scheduler, "enqueue_request", noting)
    patches.replace(module.Scheduler, "next_request", giving(_journey))


def _downloader(module: Any, patches: Patches) -> None:
    patches.around(module.DownloaderMiddlewareManager, "download_async", _download)


def _retries(module: Any, patches: Patches) -> None:
    patches.after(module, "get_retry_request", _retried)


def _scraper(module: Any, patches: Patches) -> None:
    patches.put(
        module.Scraper,
        "call_spider_async",
        Wrapper(module.Scraper.call_spider_async, _callback),
    )
    # Asked for each item only, and not for each request that a callback yields.
    name = "start_itemproc_async"
    if not hasattr(module.Scraper, name):  # before 2.14
        name = "_process_spidermw_output_async"
    patches.before(module.Scraper, name, _output)


def _pipelines(module: Any, patches: Patches) -> None:
    means("scrapy.exceptions.DropItem", _names.DROPPED)
    means("scrapy.exceptions.IgnoreRequest", _names.DROPPED)
    means("scrapy.exceptions.CloseSpider", _names.CANCELLED)
    patches.after(module.ItemPipelineManager, "_add_middleware", _added)


def _crawl(owner: Any) -> RunTrace:
    """The trace of the crawl that a part of Scrapy belongs to."""
    crawler = getattr(owner, "crawler", None) or owner
    found = _CRAWLS.get(crawler)
    if found is None:
        found = _CRAWLS[crawler] = RunTrace()
    return found


def _replaced(request: Any, _args: Any, _kwargs: Any, copy: Any) -> None:
    """A redirect or a retry goes on with the journey of its request."""
    journey = _JOURNEYS.get(request)
    if journey is not None and not isinstance(copy, BaseException):
        _JOURNEYS[copy] = journey


def _download(manager: Any, args: tuple[Any, ...], kwargs: Any) -> Call:
    request = args[1] if args[1:] else kwargs["request"]
    journey = _journey(manager, request)

    def ended(result: Any, error: BaseException | None) -> None:
        exported(journey)
        if error is None and result is not request:
            _JOURNEYS[result] = journey

    delivery = Delivery(journey, "requests")
    made = step("download", rule="Scrapy's downloader", kind="coroutine")
    return Call(made, _Id(request.url), delivery, ended)


def _journey(owner: Any, request: Any, since: int | None = None) -> Journey:
    """A request's journey, which is made as it leaves the scheduler, if not before."""
    journey = _JOURNEYS.get(request)
    if journey is None:
        journey = _JOURNEYS[request] = _crawl(owner).journey(since)
    return journey


class _Id:
    """Gives an event its identifier, where its own is called otherwise."""

    __slots__ = ("id",)

    def __init__(self, identifier: object) -> None:
        self.id = identifier


def _retried(_module: Any, args: tuple[Any, ...], kwargs: Any, again: Any) -> None:
    request = args[0] if args else kwargs["request"]
    reason = kwargs.get("reason")
    error = reason if isinstance(reason, BaseException) else None
    failed = request.meta.get("retry_times", 0) + 1
    if again is None:
        given_up("scrapy", failed=failed, error=error)
    elif not isinstance(again, BaseException):
        retrying("scrapy", failed=failed, wait=0.0, error=error)


async def _callback(
    wrapped: Any, scraper: Any, args: tuple[Any, ...], kwargs: dict[str, Any]
) -> Any:
    """Run a spider's callback, and record it until its last item is out."""
    try:
        result, request = args
        call = _begin_callback(scraper, result, request)
    except Exception as error:  # noqa: BLE001 - never into Scrapy
        _guard.caught(PLACE, error)
        return await wrapped(*args, **kwargs)
    if call is None:
        return await wrapped(*args, **kwargs)
    try:
        output = await call.wait_for(wrapped(*args, **kwargs))
    except BaseException as error:
        call.finish(error)
        step_aside(error)
        raise
    if isinstance(output, AsyncIterator):
        return call.over_async(output)
    if inspect.isgenerator(output):
        return call.over(output)
    call.finish(None)
    return output


def _begin_callback(scraper: Any, result: Any, request: Any) -> Lazy | None:
    spider = scraper.crawler.spider
    response = hasattr(result, "body")
    if response:
        known = getattr(result, "request", None) or request
        function = known.callback or spider._parse  # noqa: SLF001 - as Scrapy itself
    elif request.errback:
        function = request.errback
    else:
        return None
    if getattr(spider, "_rules", None):
        function = _ruled(spider, request, function)
    name = getattr(function, "__name__", "") or type(function).__name__
    name = "parse" if name == "_parse" else name
    made = step(
        f"{spider.name}.{name}",
        rule="a Scrapy callback",
        function=qualified(function),
        kind="coroutine",
    )
    journey = _JOURNEYS.get(result) if response else None
    if journey is None:
        journey = _journey(scraper, request)
        if response:
            _JOURNEYS[result] = journey
    _CURRENT.set(journey)
    ended = (lambda _error: exported(journey)) if TRACER.on else None
    return Lazy(made, _Id(request.url), part(journey), ended)


def _ruled(spider: Any, request: Any, function: Any) -> Any:
    """What a rule of a ``CrawlSpider`` names, where it has the spider call that."""
    kind = {"_callback": "callback", "_errback": "errback"}.get(
        getattr(function, "__name__", "")
    )
    number = request.meta.get("rule")
    if kind is None or not isinstance(number, int):
        return function
    named = getattr(spider._rules[number], kind, None)  # noqa: SLF001 - as above
    return named or (spider.parse if kind == "callback" else function)


def _output(_scraper: Any, args: tuple[Any, ...], kwargs: dict[str, Any]) -> None:
    response = args[1] if args[1:] else kwargs.get("response")
    known = response if hasattr(response, "body") else None
    _CURRENT.set(None if known is None else _JOURNEYS.get(known))


def _added(manager: Any, args: tuple[Any, ...], _kwargs: Any, _result: object) -> None:
    """Observe one item pipeline; its method stays equal to itself."""
    pipeline = args[0]
    methods = manager.methods["process_item"]
    if not hasattr(pipeline, "process_item") or not methods:
        return
    method = methods[-1]
    if isinstance(method, Wrapper):
        return
    name = type(pipeline).__qualname__
    coroutine = inspect.iscoroutinefunction(method)
    kind: Kind = "coroutine" if coroutine else "call"

    def observe(_pipeline: Any, args: tuple[Any, ...], kwargs: Any) -> Call:
        made = step(
            name,
            rule="a Scrapy item pipeline",
            source=qualified(type(pipeline)),
            function=f"{qualified(type(pipeline))}.process_item",
            kind=kind,
        )
        item = args[0] if args else kwargs["item"]
        crawl, known = _crawl(manager), _CURRENT.get()
        journey = crawl.journey() if known is None else crawl.going_on(known)

        def ended(_result: object, _error: BaseException | None) -> None:
            exported(journey)

        return Call(made, item, part(journey), ended)

    methods[-1] = observed(method, observe)


HOOKS: Final[dict[str, Callable[[Any, Patches], None]]] = {
    "scrapy.http.request": _request,
    "scrapy.core.scheduler": _scheduler,
    "scrapy.core.downloader.middleware": _downloader,
    "scrapy.downloadermiddlewares.retry": _retries,
    "scrapy.core.scraper": _scraper,
    "scrapy.pipelines": _pipelines,
}
