"""Build the index of ``index_sources.py`` on a Dask cluster.

    python distributed_index.py --search gather          # two processes on this machine
    python distributed_index.py tcp://scheduler:8786     # any cluster, unchanged

The workers read, tokenize and enrich; one writer here owns the database. At most so
many files are under way at once. Workers elsewhere must see the same folder.
"""

from __future__ import annotations

import argparse
import sqlite3
import tempfile
import time
import warnings
from collections import Counter
from itertools import islice
from pathlib import Path

from distributed import Client, LocalCluster, as_completed
from index_sources import (
    SEARCH,
    STDLIB,
    Document,
    Enricher,
    Reader,
    Tokenizer,
    Writer,
    find,
)

UNDER_WAY = 64


def read(document: Document) -> Document:
    """Load a file; on a worker."""
    return Reader().process(document)


def tokenize(document: Document) -> Document:
    """Decode it and find its words; on a worker."""
    return Tokenizer().process(document)


def enrich(document: Document) -> Document:
    """Add its summary; on a worker."""
    return Enricher().process(document)


def run(client: Client, folder: Path, limit: int | None, writer: Writer) -> list[str]:
    """Index a folder; returns the kinds of failures.

    Args:
        client: Of the cluster.
        folder: What to index.
        limit: Stop after so many files.
        writer: Owns the database.
    """
    documents = islice(find(folder), limit)
    failures = []

    def submit(document: Document) -> object:
        steps = client.submit(tokenize, client.submit(read, document, pure=False))
        return client.submit(enrich, steps)

    done = as_completed(map(submit, islice(documents, UNDER_WAY)))
    for future in done:
        if future.status == "error":
            failures.append(type(future.exception()).__name__)
        else:
            writer.process(future.result())
        done.update(map(submit, islice(documents, 1)))
    writer.database.commit()
    return failures


def main() -> None:
    """Index a folder, report, and search if asked to."""
    parser = argparse.ArgumentParser(description="Index Python sources on a cluster.")
    parser.add_argument("address", nargs="?", help="of a scheduler that runs already")
    parser.add_argument("--folder", type=Path, default=STDLIB)
    parser.add_argument("--limit", type=int, help="stop after so many files")
    parser.add_argument("--search", metavar="WORD", help="print the five best matches")
    options = parser.parse_args()
    warnings.simplefilter("ignore", SyntaxWarning)  # about the files that we index

    address = options.address or LocalCluster(
        n_workers=2, threads_per_worker=1, dashboard_address=None
    )
    with tempfile.TemporaryDirectory() as scratch, Client(address) as client:
        if options.address:
            client.upload_file(str(Path(__file__).with_name("index_sources.py")))
            client.upload_file(__file__)
        began = time.perf_counter()
        writer = Writer(Path(scratch, "index.db"))
        failures = run(client, options.folder, options.limit, writer)
        seconds = time.perf_counter() - began
        print(f"{writer.files:,} files, {writer.tokens:,} tokens in {seconds:.1f} s")
        kinds = ", ".join(f"{n} {kind}" for kind, n in Counter(failures).most_common())
        print(f"{len(failures)} failures{kinds and ': '}{kinds}")
        if options.search:
            found = sqlite3.connect(Path(scratch, "index.db"))
            word = '"' + options.search.replace('"', '""') + '"'
            for name, summary in found.execute(SEARCH, (word,)):
                print(f"  {name}: {summary}")
            found.close()
        writer.database.close()
    if not options.address:
        address.close()


if __name__ == "__main__":
    main()
