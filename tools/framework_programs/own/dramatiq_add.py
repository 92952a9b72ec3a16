"""An actor on redis, and so many messages for it: `-m dramatiq_add NUMBER`."""

from __future__ import annotations

import sys

import dramatiq
from dramatiq.brokers.redis import RedisBroker

dramatiq.set_broker(RedisBroker())


@dramatiq.actor
def add(x: int, y: int) -> None:
    """Add two numbers."""
    add.logger.info("The sum of %d and %d is %d.", x, y, x + y)


if __name__ == "__main__":
    for number in range(int(sys.argv[1])):
        add.send(number, number + 1)
