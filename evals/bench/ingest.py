"""``python -m evals.bench.ingest FOLDER``: adding files, against the LangChain tutorial's pipeline.

One run in turn: the library and the tutorial take in the same folder with the same model; embedding
alone takes the texts that the library embeds. Then a library is grown to ``--sizes`` passages with
vectors that cost nothing, so that what grows is the library; embedding is a constant for each passage.
"""

from __future__ import annotations

import argparse
import json
import os
import platform
import shutil
import statistics
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Sequence
from pathlib import Path

import numpy as np

from assistant import Library, load_settings
from assistant.documents.reading import Reader
from assistant.embedding import Vectors, prepare_embedder
from assistant.errors import FileRefused
from assistant.library import Shelf
from assistant.library.adding import files_under
from assistant.library.passages import cut
from assistant.recipe import read_recipe

_PASSAGES_A_FILE = 100
_DIMENSION = 384


class FreeEmbedder:
    """Random unit vectors: what a library costs without embedding."""

    digest = "free"

    def __init__(self) -> None:
        self._random = np.random.default_rng(7)

    def embed(self, texts: Sequence[str], progress: Callable[[int], None] | None = None) -> Vectors:
        """A vector for each text, whatever it says."""
        vectors = self._random.normal(size=(len(texts), _DIMENSION)).astype(np.float32)
        unit: Vectors = vectors / np.linalg.norm(vectors, axis=1, keepdims=True)
        return unit


def step(arguments: Sequence[str]) -> dict[str, float]:
    """Run one step of this module in a process of its own; what it measured, with its peak memory."""
    command = [sys.executable, "-m", "evals.bench.ingest", "--step", *arguments]
    environment = os.environ | {"HF_HUB_OFFLINE": "1"}
    done = subprocess.run(command, check=True, env=environment, capture_output=True, text=True)
    measured: dict[str, float] = json.loads(done.stdout.strip().splitlines()[-1])
    return measured


def add(folder: Path, store: Path) -> dict[str, float]:
    """Add a folder to a library that does not exist yet."""
    begun = time.perf_counter()
    report = Library(load_settings(library=store)).add([folder])
    passages = sum(outcome.passages for outcome in report.outcomes)
    counts = {state: report.count(state) for state in ("added", "alias", "failed")}
    return {"seconds": time.perf_counter() - begun, "passages": passages, **counts}


def embed(folder: Path) -> dict[str, float]:
    """Embed the texts that adding a folder embeds, and nothing else, in one call."""
    settings = load_settings()
    recipe = read_recipe(settings.recipe)
    embedder = prepare_embedder(settings.embedding_model, recipe.model, settings.cache)
    texts: dict[str, list[str]] = {}
    with Reader() as reader:
        for path in files_under([folder]):
            try:
                found = reader.read(path)
            except FileRefused:
                continue
            passages = cut(found, recipe.max_chars)
            texts[found.sha256] = [f"{p.title}\n{found.text[p.start : p.stop]}" for p in passages]
    flat = [text for each in texts.values() for text in each]
    embedder.embed(flat[:64])
    begun = time.perf_counter()
    embedder.embed(flat)
    return {"seconds": time.perf_counter() - begun, "passages": len(flat)}


def tutorial(folder: Path, store: Path) -> dict[str, float]:
    """The tutorial's way: a loader for each format, chunks of 1000/200, Chroma."""
    begun = time.perf_counter()
    from langchain_community.document_loaders import CSVLoader, PyPDFLoader, TextLoader
    from langchain_text_splitters import RecursiveCharacterTextSplitter

    from evals.bench.tutorial import open_store

    documents, failed = [], 0
    for path in files_under([folder]):
        try:
            if path.suffix == ".pdf":
                documents += PyPDFLoader(str(path)).load()
            elif path.suffix == ".csv":
                documents += CSVLoader(str(path)).load()
            else:
                documents += TextLoader(str(path), encoding="utf-8").load()
        except Exception:
            failed += 1
    splitter = RecursiveCharacterTextSplitter(chunk_size=1000, chunk_overlap=200)
    chunks = splitter.split_documents(documents)
    vectors = open_store(store)
    for start in range(0, len(chunks), 5000):
        vectors.add_documents(chunks[start : start + 5000])
    return {"seconds": time.perf_counter() - begun, "passages": len(chunks), "failed": failed}


def grow(folder: Path, size: int) -> dict[str, float]:
    """A library of ``size`` passages: time to fill it, then of one file more, a search, a removal."""
    files = folder / "files"
    files.mkdir(parents=True)
    words = [f"{letter}{number}" for letter in "abcdefghij" for number in range(2000)]
    chooser = np.random.default_rng(size)
    for number in range(size // _PASSAGES_A_FILE + 1):
        parts = (
            f"## Section {place} of {number}\n\nText {' '.join(chooser.choice(words, 90))}.\n"
            for place in range(_PASSAGES_A_FILE)
        )
        (files / f"{number:06}.md").write_text("\n".join(parts), encoding="utf-8")
    last = files / f"{size // _PASSAGES_A_FILE:06}.md"
    aside = folder / last.name
    last.rename(aside)
    settings = load_settings(library=folder / "library")
    library, embedder = Library(settings, FreeEmbedder()), FreeEmbedder()
    filled = _seconds(lambda: library.add([files]))
    memory = _peak_mb()
    one = _seconds(lambda: library.add([aside]))
    shelf = Shelf(settings.library, embedder)
    weights = dict.fromkeys(("a7", "b70", "c700", "text"), 0.25)
    vectors = embedder.embed([""] * 12)

    def search(vector: Vectors) -> float:
        return _seconds(lambda: shelf.search(vector, weights, lambda source: True, 8))

    opened = search(vectors[0])
    asked = statistics.median(search(vector) for vector in vectors[1:])
    shelf.close()
    removed = _seconds(lambda: library.remove([aside.name]))
    disk = sum(path.stat().st_size for path in settings.library.iterdir()) / 1e6
    return {
        "passages": size,
        "fill_s": filled,
        "fill_memory_mb": memory,
        "one_more_s": one,
        "first_search_s": opened,
        "search_ms": asked * 1000,
        "remove_s": removed,
        "disk_mb": disk,
    }


def _seconds(action: Callable[[], object]) -> float:
    begun = time.perf_counter()
    action()
    return time.perf_counter() - begun


def _peak_mb() -> float:
    import resource

    return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024


def main() -> None:
    """Measure and print two Markdown tables."""
    parser = argparse.ArgumentParser(prog="python -m evals.bench.ingest", description=__doc__)
    parser.add_argument("folder", type=Path, nargs="?", help="the files to take in")
    parser.add_argument("--sizes", default="1000,10000,100000", help="passages, comma separated")
    parser.add_argument("--step", nargs="+", help=argparse.SUPPRESS)
    given = parser.parse_args()
    if given.step:
        name, *rest = given.step
        measured = {
            "add": lambda: add(Path(rest[0]), Path(rest[1])),
            "embed": lambda: embed(Path(rest[0])),
            "tutorial": lambda: tutorial(Path(rest[0]), Path(rest[1])),
            "grow": lambda: grow(Path(rest[0]), int(rest[1])),
        }[name]()
        print(json.dumps({**measured, "memory_mb": _peak_mb()}))
        return
    work = Path(tempfile.mkdtemp(prefix="bench-ingest-"))
    try:
        print(f"{platform.machine()}, {os.cpu_count()} cores, Python {platform.python_version()}\n")
        if given.folder:
            _print_folder(given.folder.resolve(), work)
        _print_growth([int(size) for size in given.sizes.split(",") if size], work)
    finally:
        shutil.rmtree(work, ignore_errors=True)


def _print_folder(folder: Path, work: Path) -> None:
    ours = step(["add", str(folder), str(work / "library")])
    alone = step(["embed", str(folder)])
    theirs = step(["tutorial", str(folder), str(work / "tutorial")])
    print("| what | seconds | passages | peak MB | ratio |\n|---|---|---|---|---|")
    rows = (
        ("add", ours, f"{theirs['seconds'] / ours['seconds']:.2f} times the tutorial's throughput"),
        (
            "embedding alone",
            alone,
            f"add takes {ours['seconds'] / alone['seconds']:.2f} times that",
        ),
        ("LangChain tutorial", theirs, ""),
    )
    for name, entry, ratio in rows:
        numbers = f"{entry['seconds']:.1f} | {entry['passages']:.0f} | {entry['memory_mb']:.0f}"
        print(f"| {name} | {numbers} | {ratio} |")
    print(f"\nadded {ours['added']}, alias {ours['alias']}, failed {ours['failed']}\n")


def _print_growth(sizes: Sequence[int], work: Path) -> None:
    rows = [step(["grow", str(work / f"grown-{size}"), str(size)]) for size in sizes]
    if rows:
        names = [name for name in rows[0] if name != "memory_mb"]
        print("| " + " | ".join(names) + " |\n" + "|---" * len(names) + "|")
    for row in rows:
        print("| " + " | ".join(f"{row[name]:,.5g}" for name in names) + " |")


if __name__ == "__main__":
    main()
