"""Further questions that provisions answer, as developers put them: ``corpus/asked.tsv``.

Tab separated: provision, question. They are searched like the questions of the source files, but written
without an expert's care, and so never shown.
"""

from __future__ import annotations

from collections.abc import Set
from pathlib import Path

from assistant.errors import CorpusError
from assistant.files import read_text


def load_asked(path: Path, known: Set[str]) -> dict[str, tuple[str, ...]]:
    """Questions by provision id; no file means none. Raises CorpusError with the line at fault."""
    if not path.is_file():
        return {}
    asked: dict[str, list[str]] = {}
    for number, line in enumerate(read_text(path).splitlines(), start=1):
        if not line.strip() or line.startswith("#"):
            continue
        cells = line.split("\t")
        if len(cells) != 2 or not cells[1].strip():
            raise CorpusError(path, number, "a row is: provision, question, tab separated")
        if cells[0] not in known:
            raise CorpusError(path, number, f"no provision has the id '{cells[0]}'")
        asked.setdefault(cells[0], []).append(cells[1])
    return {id: tuple(questions) for id, questions in asked.items()}
