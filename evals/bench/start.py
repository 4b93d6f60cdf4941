"""What a program pays for embedding the assistant: ``python -m evals.bench.start``.

Each step is a process of its own, so that nothing is warm but the files in the system's cache.
"""

from __future__ import annotations

import sys
from collections.abc import Iterator
from pathlib import Path

from assistant import Assistant, load_settings
from evals.bench.timing import in_turns, run

_TIMES = 7
_OPEN = "from assistant import Assistant\nwith Assistant.open(build=False) as assistant: "
_STEPS = (
    ("`import assistant`, a whole process", "import assistant", "pass"),
    ("`Assistant.open()`, a whole process", f"{_OPEN}pass", "import chromadb"),
    ("open and first `ask`, a whole process", f"{_OPEN}assistant.ask('What does LLM05 say?')", "import chromadb"),
)  # fmt: skip


def rows(cache: Path) -> Iterator[tuple[str, str, str, str]]:
    """Rows of the bench's table, of an index that is built already."""
    for what, code, other in _STEPS:
        ours, theirs = in_turns(
            lambda: run([sys.executable, "-c", code], cache),  # noqa: B023
            lambda: run([sys.executable, "-c", other], cache),  # noqa: B023
            _TIMES,
        )
        compared = f"`python -c '{other}'` {theirs:.2f} s"
        yield what, f"{ours:.2f} s", compared, f"{ours / theirs:.1f} times"


def main() -> None:
    """Print the rows for the index of the checkout."""
    cache = load_settings().cache
    with Assistant.open():
        pass
    print("| what | assistant | compared with | ratio |\n|---|---|---|---|")
    for row in rows(cache):
        print("| " + " | ".join(row) + " |")


if __name__ == "__main__":
    main()
