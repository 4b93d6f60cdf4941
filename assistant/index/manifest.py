"""What an index was made of: compared before it is used."""

from __future__ import annotations

import json
from collections import Counter
from collections.abc import Sequence
from dataclasses import asdict, dataclass
from pathlib import Path

from assistant.documents import Corpus
from assistant.embedding import file_sha256
from assistant.errors import IndexDamaged, IndexMismatch
from assistant.index.rows import Row
from assistant.taxonomy import BINDINGS

FORMAT = 8
"""Raised when what an index holds, or how its graph is built, changes."""
_BUILD = "Run `safety-assistant index build`."


@dataclass(frozen=True, slots=True)
class FileMark:
    """A file as it was written: size in bytes, time of change in ns, sha256."""

    size: int
    changed_ns: int
    sha256: str

    @classmethod
    def of(cls, path: Path) -> FileMark:
        """The mark of a file now."""
        status = path.stat()
        return cls(status.st_size, status.st_mtime_ns, file_sha256(path))

    def holds(self, path: Path) -> bool:
        """Whether the file is as it was; its digest is taken only if size or time differ."""
        try:
            status = path.stat()
        except OSError:
            return False
        if (status.st_size, status.st_mtime_ns) == (self.size, self.changed_ns):
            return True
        return status.st_size == self.size and file_sha256(path) == self.sha256


@dataclass(frozen=True, slots=True)
class Manifest:
    """Digests and counts of one generation of the index.

    corpus, recipe: sha256. model: the embedder's digest. records: how many each collection of the
    vector store holds. files: the marks of files that do not change. The rest are counts.
    """

    format: int
    corpus: str
    recipe: str
    model: str
    sources: int
    provisions: int
    passages: int
    asks: int
    sentences: int
    records: dict[str, int]
    files: dict[str, FileMark]

    @classmethod
    def of(
        cls,
        corpus: Corpus,
        recipe: Path,
        model: str,
        rows: Sequence[Row],
        records: dict[str, int],
        files: dict[str, FileMark],
    ) -> Manifest:
        """The manifest that an index of this corpus, recipe and model must have."""
        counts = Counter(row.part for row in rows)
        return cls(
            format=FORMAT,
            corpus=corpus.sha256,
            recipe=recipe_sha256(recipe),
            model=model,
            sources=len(corpus.documents),
            provisions=len(corpus.provisions),
            passages=counts["passage"],
            asks=counts["ask"],
            sentences=counts["segment"],
            records=records,
            files=files,
        )

    def write(self, path: Path) -> None:
        """Write as JSON."""
        path.write_text(json.dumps(asdict(self), indent=2) + "\n", encoding="utf-8")

    @classmethod
    def read(cls, path: Path) -> Manifest:
        """Read a manifest; raises IndexDamaged if it is absent or not one."""
        try:
            data = json.loads(path.read_text("utf-8"))
            data["files"] = {name: FileMark(**mark) for name, mark in data["files"].items()}
            manifest = cls(**data)
            if set(manifest.records) != set(BINDINGS):
                raise ValueError("records")
            return manifest
        except (OSError, ValueError, TypeError, KeyError, AttributeError) as error:
            raise damaged(f"{path.name} cannot be read") from error

    def require(self, corpus: Corpus, recipe: Path, model: str) -> None:
        """Raise IndexMismatch, naming what differs, unless the index was built for these."""
        pairs = {
            "another format of index": (self.format, FORMAT),
            "another recipe": (self.recipe, recipe_sha256(recipe)),
            f"another embedding model ({self.model})": (self.model, model),
            "another state of the corpus": (self.corpus, corpus.sha256),
        }
        for what, (found, wanted) in pairs.items():
            if found != wanted:
                raise IndexMismatch(f"The index was built for {what}. {_BUILD}")


def damaged(detail: str) -> IndexDamaged:
    """The error for an index that cannot be used as it is."""
    return IndexDamaged(
        f"The index is damaged ({detail}). "
        "Build it anew with `safety-assistant index build --fresh`."
    )


def recipe_sha256(recipe: Path) -> str:
    """Digest of the recipe; a missing file gives "absent"."""
    return file_sha256(recipe / "recipe.toml")
