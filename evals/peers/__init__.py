"""Well-known retrieval set-ups on the same corpus and questions: ``python -m evals.peers``.

Each peer is given every provision as one passage, is left at the defaults of its own library, and
ranks provisions for each question; the measures are those of the product's own runs. A peer runs in
a process of its own (`worker.py`), so that no other's memory or threads weigh on its times, and so
that one may run in an environment of its own: set ``PEERS_PYTHON_TXTAI`` (or another peer's name)
to the interpreter of that environment. All of them also install together with the lock:

    pip install -r evals/peers/requirements-NAME.txt -c constraints.txt

for NAME in bm25, ensemble, txtai, haystack; the others need the development requirements alone.
"""
