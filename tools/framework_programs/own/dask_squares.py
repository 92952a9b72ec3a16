"""The sum of fifty squares, on two processes."""

from __future__ import annotations

from dask.distributed import Client, LocalCluster


def square(number: int) -> int:
    """A number by itself."""
    return number * number


def total(numbers: list[int]) -> int:
    """Their sum."""
    return sum(numbers)


if __name__ == "__main__":
    with (
        LocalCluster(n_workers=2, processes=True, dashboard_address=None) as cluster,
        Client(cluster) as client,
    ):
        squares = client.map(square, range(50))
        print(client.submit(total, squares).result())
