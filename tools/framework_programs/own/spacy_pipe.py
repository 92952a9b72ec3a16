"""Two hundred texts through a blank English pipeline: `spacy_pipe.py PROCESSES`."""

from __future__ import annotations

import sys

import spacy

if __name__ == "__main__":
    nlp = spacy.blank("en")
    nlp.add_pipe("sentencizer")
    texts = [f"This is text {n}. It has two sentences." for n in range(200)]
    docs = list(nlp.pipe(texts, n_process=int(sys.argv[1]), batch_size=20))
    print(sum(len(list(doc.sents)) for doc in docs), docs[7].text)
