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

_FORMAT = 1
_BUILD = "Run `safety-assistant index build`."


@dataclass(frozen=True, slots=True)
class Manifest:
    """Digests and counts of one generation of the index.

    corpus, recipe: sha256. model: the embedder's digest. records: how many each collection of the
    vector store holds. The rest are counts.
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

    @classmethod
    def of(
        cls,
        corpus: Corpus,
        recipe: Path,
        model: str,
        rows: Sequence[Row],
        records: dict[str, int],
    ) -> Manifest:
        """The manifest that an index of this corpus, recipe and model must have."""
        counts = Counter(row.part for row in rows)
        return cls(
            format=_FORMAT,
            corpus=corpus.sha256,
            recipe=recipe_sha256(recipe),
            model=model,
            sources=len(corpus.documents),
            provisions=len(corpus.provisions),
            passages=counts["passage"],
            asks=counts["ask"],
            sentences=counts["segment"],
            records=records,
        )

    def write(self, path: Path) -> None:
        """Write as JSON."""
        path.write_text(json.dumps(asdict(self), indent=2) + "\n", encoding="utf-8")

    @classmethod
    def read(cls, path: Path) -> Manifest:
        """Read a manifest; raises IndexDamaged if it is absent or not one."""
        try:
            return cls(**json.loads(path.read_text("utf-8")))
        except (OSError, ValueError, TypeError) as error:
            raise IndexDamaged(
                f"The index has no readable manifest ({path}). "
                "Build it anew with `safety-assistant index build --fresh`."
            ) from error

    def require(self, corpus: Corpus, recipe: Path, model: str) -> None:
        """Raise IndexMismatch, naming what differs, unless the index was built for these."""
        pairs = {
            "another format of index": (self.format, _FORMAT),
            "another recipe": (self.recipe, recipe_sha256(recipe)),
            f"another embedding model ({self.model})": (self.model, model),
            "another state of the corpus": (self.corpus, corpus.sha256),
        }
        for what, (found, wanted) in pairs.items():
            if found != wanted:
                raise IndexMismatch(f"The index was built for {what}. {_BUILD}")


def recipe_sha256(recipe: Path) -> str:
    """Digest of the recipe; a missing file gives "absent"."""
    return file_sha256(recipe / "recipe.toml")
