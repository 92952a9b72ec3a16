"""Build a full-text index of a folder of Python sources.

    python index_sources.py --search gather      # the standard library
    python index_sources.py ~/code --database code.db

One thread reads, two tokenize, a pool enriches and one writer owns the database.
The queues between them are bounded: a slow stage holds back those before it.
"""

from __future__ import annotations

import argparse
import ast
import re
import sqlite3
import sys
import sysconfig
import tempfile
import time
import warnings
from collections import Counter
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, field
from itertools import islice
from pathlib import Path
from queue import Queue
from threading import BoundedSemaphore, Thread
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Iterator

WORKERS = 2
QUEUE_SIZE = 64
COMMIT_EVERY = 200
CREATE = "CREATE VIRTUAL TABLE sources USING fts5(id, summary, words)"
SEARCH = "SELECT id, summary FROM sources(?) ORDER BY rank LIMIT 5"
STDLIB = Path(sysconfig.get_paths()["stdlib"])
WORD = re.compile(r"[^\W\d_]{2,}")


@dataclass
class Document:
    """One source file; each stage fills in what it finds out."""

    id: str
    path: Path
    data: bytes = b""
    text: str = ""
    words: list[str] = field(default_factory=list)
    summary: str = ""


class Reader:
    """Loads the raw bytes of a file."""

    def process(self, document: Document) -> Document:
        document.data = document.path.read_bytes()
        return document


class Tokenizer:
    """Decodes strictly (a wrong guess would be noise in the index), finds words."""

    def process(self, document: Document) -> Document:
        document.text = document.data.decode("utf-8")
        document.words = WORD.findall(document.text.lower())
        return document


class Enricher:
    """Takes the summary line from the module's docstring."""

    def process(self, document: Document) -> Document:
        tree = ast.parse(document.text, document.id)
        document.summary = (ast.get_docstring(tree) or "").partition("\n")[0]
        return document


class Writer:
    """Adds documents to the index, many to a transaction."""

    def __init__(self, path: Path) -> None:
        self.files = self.tokens = 0
        # The writer thread has the database to itself until it ends.
        self.database = sqlite3.connect(path, check_same_thread=False)
        self.database.execute("DROP TABLE IF EXISTS sources")
        self.database.execute(CREATE)

    def process(self, document: Document) -> Document:
        row = (document.id, document.summary, " ".join(document.words))
        self.database.execute("INSERT INTO sources VALUES (?, ?, ?)", row)
        self.files += 1
        self.tokens += len(document.words)
        if self.files % COMMIT_EVERY == 0:
            self.database.commit()
        return document


Stage = Reader | Tokenizer | Enricher | Writer
DocumentQueue = Queue[Document | None]  # None ends a worker


class Indexer:
    """Moves documents from stage to stage and leaves out those that fail."""

    def __init__(self, path: Path) -> None:
        self.reader, self.tokenizer = Reader(), Tokenizer()
        self.enricher, self.writer = Enricher(), Writer(path)
        self.loaded = DocumentQueue(QUEUE_SIZE)
        self.tokenized = DocumentQueue(QUEUE_SIZE)
        self.enriched = DocumentQueue(QUEUE_SIZE)
        self.failures: list[str] = []

    def run(self, documents: Iterable[Document]) -> None:
        """Index all documents; return when the last one is written."""
        reader = start(self._read, documents)
        tokenizers = [start(self._tokenize) for _ in range(WORKERS)]
        enricher, writer = start(self._enrich), start(self._write)
        reader.join()
        for _ in tokenizers:
            self.loaded.put(None)
        for tokenizer in tokenizers:
            tokenizer.join()
        self.tokenized.put(None)
        enricher.join()
        self.enriched.put(None)
        writer.join()

    def _read(self, documents: Iterable[Document]) -> None:
        for document in documents:
            self._step(self.reader, document, self.loaded)

    def _tokenize(self) -> None:
        while (document := self.loaded.get()) is not None:
            self._step(self.tokenizer, document, self.tokenized)

    def _enrich(self) -> None:
        room = BoundedSemaphore(QUEUE_SIZE)  # the pool's own backlog has no bound
        with ThreadPoolExecutor(WORKERS, "enricher") as pool:
            while (document := self.tokenized.get()) is not None:
                room.acquire()
                step = pool.submit(self._step, self.enricher, document, self.enriched)
                step.add_done_callback(lambda _: room.release())

    def _write(self) -> None:
        while (document := self.enriched.get()) is not None:
            self._step(self.writer, document)
        self.writer.database.commit()

    def _step(
        self, stage: Stage, document: Document, output: DocumentQueue | None = None
    ) -> None:
        try:
            result = stage.process(document)
        except Exception as error:  # noqa: BLE001 - one bad file must not end the run
            self.failures.append(type(error).__name__)
        else:
            if output is not None:
                output.put(result)


def start(work: Callable[..., None], *args: object) -> Thread:
    """Start a thread that does not outlive the program."""
    thread = Thread(target=work, args=args, daemon=True)
    thread.start()
    return thread


def find(folder: Path) -> Iterator[Document]:
    """Yield the Python files below a folder, without installed packages."""
    for path in sorted(folder.rglob("*.py")):
        name = path.relative_to(folder)
        if "site-packages" not in name.parts:
            yield Document(name.as_posix(), path)


def main() -> None:
    """Index a folder, report, and search if asked to."""
    parser = argparse.ArgumentParser(description="Index Python sources.")
    parser.add_argument("folder", nargs="?", type=Path, default=STDLIB)
    parser.add_argument("--limit", type=int, help="stop after so many files")
    parser.add_argument("--database", type=Path, help="keep the index in this file")
    parser.add_argument("--search", metavar="WORD", help="print the five best matches")
    options = parser.parse_args()
    if not options.folder.is_dir():
        parser.error(f"there is no folder {str(options.folder)!r}")
    warnings.simplefilter("ignore", SyntaxWarning)  # about the files that we index

    with tempfile.TemporaryDirectory() as scratch:
        began = time.perf_counter()
        try:
            indexer = Indexer(options.database or Path(scratch, "index.db"))
        except sqlite3.OperationalError as error:
            sys.exit(f"cannot make a full-text index (SQLite with FTS5): {error}")
        indexer.run(islice(find(options.folder), options.limit))
        seconds = time.perf_counter() - began
        writer, failures = indexer.writer, indexer.failures
        print(f"{writer.files:,} files, {writer.tokens:,} tokens in {seconds:.1f} s")
        kinds = ", ".join(f"{n} {kind}" for kind, n in Counter(failures).most_common())
        print(f"{len(failures)} failures{kinds and ': '}{kinds}")
        if options.search:
            word = '"' + options.search.replace('"', '""') + '"'
            for name, summary in writer.database.execute(SEARCH, (word,)):
                print(f"  {name}: {summary}")
        writer.database.close()


if __name__ == "__main__":
    main()
