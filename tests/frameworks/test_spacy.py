from __future__ import annotations

from typing import TYPE_CHECKING

import pytest

from harness.frameworks import finished, observe, traces

if TYPE_CHECKING:
    from pathlib import Path

    from harness import OtlpReceiver

SHOUT = """
import sys
import spacy
from spacy.language import Language

@Language.component("shout")
def shout(doc):
    if doc.text.startswith("bad"):
        raise ValueError("bad")
    return doc

nlp = spacy.blank("en")
"""
PROGRAM = (
    SHOUT
    + """
nlp.add_pipe("sentencizer")
nlp.add_pipe("shout", name="loud")
n_process = int(sys.argv[1])
texts = [f"This is text {n}. It has two sentences." for n in range(40)]

def main():
    print(len(list(nlp("One. Two.").sents)), nlp.pipe_names)
    docs = list(nlp.pipe(texts, batch_size=10, n_process=n_process))
    print(len(docs), sum(len(list(doc.sents)) for doc in docs))
    pairs = list(nlp.pipe([(text, n) for n, text in enumerate(texts[:4])], as_tuples=True))
    print([n for _, n in pairs])
    lazy = nlp.pipe(iter(texts))
    print(next(lazy).text)
    lazy.close()
    try:
        nlp("bad")
    except ValueError as error:
        print(error)
    print(nlp.pipeline[1][1] is shout)

if __name__ == "__main__":
    main()
"""
)


@pytest.mark.parametrize("processes", [1, 2])
def test_components(processes: int, receiver: OtlpReceiver, tmp_path: Path):
    """Components are stages with their own time for each document."""
    observed = observe(receiver, PROGRAM, str(processes), cwd=tmp_path)
    assert observed.run.stdout.endswith("bad\nTrue\n")
    done = finished(receiver, "stagelight.stage.process.duration")
    # Forty documents in the stream, four in pairs, two alone, one of a closed stream.
    assert done["sentencizer success"] == done["tokenizer success"] == 47
    assert (done["loud success"], done["loud failure"]) == (46, 1)
    assert (done["nlp success"], done["nlp failure"]) == (1, 1)
    assert (done["nlp.pipe success"], done["nlp.pipe cancelled"]) == (2, 1)
    found = traces(receiver.spans())
    assert len(found) == 5
    (stream,) = [one for one in found.values() if one["process tokenizer"] == 40]
    batches = 1 if processes == 1 else 4
    assert stream == {
        f"ingest {observed.pipeline['name']}": 1,
        "process nlp.pipe": 1,
        "process tokenizer": 40,
        "process sentencizer": batches,
        "process loud": batches,
    }
    assert ("process loud", "process nlp.pipe") in observed.tree()


TOLERANT = (
    SHOUT
    + """
nlp.add_pipe("shout")
nlp.set_error_handler(lambda name, proc, docs, error: print(name, len(docs), error))
print([doc.text for doc in nlp.pipe(["one", "bad", "two"])])
"""
)


def test_error_handler(receiver: OtlpReceiver, tmp_path: Path):
    """A document that the program's error handler lets go is a failure all the same."""
    observed = observe(receiver, TOLERANT, cwd=tmp_path)
    assert observed.run.stdout == "shout 1 bad\n['one', 'two']\n"
    found = observed.pipeline["stages"]["shout"]
    assert found["outcomes"] == {"success": 2, "failure": 1}
    assert [log.event_name for log in receiver.logs() if log.event_name] == [
        "stagelight.stage.process.exception"
    ]
