"""Events that a framework hands to a broker: taken, refused, or lost on the way."""

from __future__ import annotations

import asyncio
from typing import TYPE_CHECKING, Any

import pytest

from stagelight import _config, testing
from stagelight.instrumentation._ledger import LEDGER
from stagelight.instrumentation.frameworks._brokers import broker_queue
from stagelight.instrumentation.frameworks._sending import Parcel, sending

if TYPE_CHECKING:
    from collections.abc import Iterator


class Broker:
    """Takes each job once, and none where it is away."""

    def __init__(self) -> None:
        self.jobs: dict[int, Any] = {}
        self.away = False

    def _take(self, job: dict[str, Any]) -> bool:
        if self.away:
            raise ConnectionError
        return self.jobs.setdefault(job["id"], job) is job

    def put(self, job: dict[str, Any]) -> bool:
        """Keep a job, unless it is known."""
        return self._take(job)

    async def put_later(self, job: dict[str, Any]) -> bool:
        """The same, asynchronously."""
        await asyncio.sleep(0)
        return self._take(job)


def pack(_broker: object, args: tuple[Any, ...], _kwargs: object) -> Parcel:
    """Write on the job what is to travel with it."""
    (job,) = args
    record = broker_queue("jobs", "a broker")
    parcel = Parcel(job, record, job.get("carrier"), forget=lambda: job.pop("carrier"))
    job["carrier"] = parcel.carrier
    return parcel


def verdict(taken: object) -> str | None:
    """Why a job was not taken."""
    return None if taken else "duplicate"


class Observed(Broker):
    """A broker as it is when its framework is observed."""

    put = sending(Broker.put, pack, verdict)
    put_later = sending(Broker.put_later, pack, verdict)


@pytest.fixture
def broker() -> Iterator[Observed]:
    """An observed broker, with a pipeline of its own."""
    LEDGER.clear(_config.Settings(pipeline="unit"))
    yield Observed()
    LEDGER.clear(_config.Settings())


def queue() -> tuple[int, dict[str, int]]:
    """Jobs that are in the queue, and those that it refused."""
    record = broker_queue("jobs", "a broker")
    return record.enqueued, record.refused


def test_only_what_the_broker_took_is_counted_and_traced(broker: Observed):
    """A duplicate, and one for which the broker was away, leave no trace."""
    with testing.capture() as seen:
        assert broker.put({"id": 1})
        assert not broker.put({"id": 1})
        job = {"id": 2}
        broker.away = True
        with pytest.raises(ConnectionError):
            broker.put(job)
        assert job == {"id": 2}  # the next attempt is not of a trace that nobody has
    assert queue() == (1, {"duplicate": 1, "ConnectionError": 1})
    assert [span["name"] for span in seen.spans()] == ["ingest unit"]


def test_coroutine_functions_are_told_of_as_they_run(broker: Observed):
    """Two that run side by side send a journey each."""
    jobs = [{"id": 1}, {"id": 2}]

    async def main() -> list[bool]:
        return await asyncio.gather(*map(broker.put_later, jobs))

    with testing.capture() as seen:
        assert asyncio.run(main()) == [True, True]
    first, second = (job["carrier"]["traceparent"] for job in broker.jobs.values())
    assert first != second
    assert queue() == (2, {})
    assert len(seen.spans()) == 2
