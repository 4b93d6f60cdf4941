"""One peer in a process of its own: ``python -m evals.peers.worker NAME``.

Requests and replies are JSON, one a line, over standard input and output; what libraries print goes
to standard error. Standard library only, besides what the peer itself imports.

    {"do": "index", "folder": PATH, "passages": [{"id": ID, "text": TEXT}, …]}
        -> {"version": TEXT, "index_s": SECONDS}         imports and loading of models included
        -> {"missing": LIBRARY}                          and the process ends
    {"do": "search", "query": TEXT, "k": COUNT}
        -> {"hits": [[ID, SCORE], …], "search_ms": MILLISECONDS}
    anything that fails
        -> {"error": TEXT}                               and the process ends
"""

from __future__ import annotations

import json
import os
import sys
import time
import traceback
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from evals.peers.base import Passage, Peer
from evals.peers.registry import PEERS


class Server:
    """Answers requests for one peer."""

    def __init__(self, name: str) -> None:
        self._entry = PEERS[name]
        self._peer: Peer | None = None

    def answer(self, request: Mapping[str, Any]) -> dict[str, Any]:
        """The reply to one request."""
        if request["do"] == "index":
            return self._index(request)
        assert self._peer is not None, "index comes first"
        begun = time.perf_counter()
        hits = self._peer.search(request["query"], request["k"])
        return {"hits": hits, "search_ms": (time.perf_counter() - begun) * 1000}

    def _index(self, request: Mapping[str, Any]) -> dict[str, Any]:
        passages = [Passage(**entry) for entry in request["passages"]]
        begun = time.perf_counter()
        try:
            self._peer = self._entry.make()
        except ImportError as error:
            traceback.print_exc()
            return {"missing": error.name or str(error)}
        self._peer.index(passages, Path(request["folder"]))
        return {"version": self._entry.version(), "index_s": time.perf_counter() - begun}


def main() -> None:
    """Serve until standard input ends or a request fails."""
    replies = os.fdopen(os.dup(1), "w", encoding="utf-8")
    os.dup2(2, 1)
    server = Server(sys.argv[1])
    for line in os.fdopen(0, encoding="utf-8"):
        try:
            reply = server.answer(json.loads(line))
        except Exception as error:
            traceback.print_exc()
            reply = {"error": f"{type(error).__name__}: {error}"}
        print(json.dumps(reply), file=replies, flush=True)
        if "error" in reply or "missing" in reply:
            return


if __name__ == "__main__":
    main()
