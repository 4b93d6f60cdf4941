"""The index: built beside the old one, swapped in by moving a pointer, opened for reading.

    cache/
      build.lock            held while building
      current               the name of the generation in use; replaced in one step
      generation-…/         manifest.json, vectors.npy, keys.json (of the vectors), own.npy, rows.npy and
                            records.json (in corpus order), uncovered.npy, lexical.sqlite3, chroma/
      models/               exports of embedding models

A generation is complete before the pointer names it and is not changed afterwards, so a build that
is killed leaves the one in use as it was.
"""

from assistant.index.asked import Asked
from assistant.index.build import BuildReport, Progress, build_index, shipped_vectors
from assistant.index.reader import Index, open_index, verify_index
from assistant.index.rows import Part

__all__ = [
    "Asked",
    "BuildReport",
    "Index",
    "Part",
    "Progress",
    "build_index",
    "open_index",
    "shipped_vectors",
    "verify_index",
]
