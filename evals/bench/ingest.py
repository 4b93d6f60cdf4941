"""``python -m evals.bench.ingest [FOLDER]``: adding files, against the LangChain tutorial's pipeline.

One run in turn, each step in a process of its own: the library and the tutorial take in the same
folder with the same model; embedding alone takes the texts that the library embedded. Then a library
is grown to ``--sizes`` passages, with vectors that cost nothing, since embedding is a constant for
each passage; the file added after that, and the questions, are embedded by the real model.

Each row is printed when it is there. With ``--keep WORK`` it is also written to WORK/rows.jsonl, and
the same command goes on after the last one. Seconds are of the clock; CPU seconds, which depend less
on what else the machine does, are of all threads and child processes.
"""

from __future__ import annotations

import argparse
import json
import os
import platform
import resource
import shutil
import statistics
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np

from assistant import Assistant, Library, load_settings
from assistant.embedding import Embedder, Vectors, prepare_embedder
from assistant.library import Shelf
from assistant.library.adding import files_under
from assistant.library.store import Store
from assistant.recipe import read_recipe
from evals import NO_LIBRARY
from evals.bench.timing import seconds

_PASSAGES_A_FILE = 100
_DIMENSION = 384
_QUESTIONS = (
    "May I load a pickle that I found on a model hub?",
    "What does the EU AI Act ask of a deployer of a high-risk system?",
    "How do I check a LoRA adapter before I use it?",
    "Who has to be told after a serious incident?",
    "How do I stop prompt injection in retrieved documents?",
)
Row = dict[str, Any]


class FreeEmbedder:
    """Random unit vectors in the name of a real model: what a library costs without embedding."""

    def __init__(self, digest: str) -> None:
        self.digest = digest
        self._random = np.random.default_rng(7)

    def embed(self, texts: Sequence[str], progress: Callable[[int], None] | None = None) -> Vectors:
        """A vector for each text, whatever it says."""
        # Around a common subject, so that no passage is held as an outlier.
        vectors = 0.1 + self._random.normal(0, 0.1, (len(texts), _DIMENSION)).astype(np.float32)
        unit: Vectors = vectors / np.linalg.norm(vectors, axis=1, keepdims=True)
        return unit


class Meter:
    """Prints to standard error how far a step is, each time that another twentieth is done."""

    def __init__(self, name: str) -> None:
        self._name, self._begun, self._told = name, time.perf_counter(), 0

    def __call__(self, stage: str, done: int, total: int) -> None:
        """As ``progress`` of Library.add."""
        twentieth = 20 * done // max(total, 1)
        if twentieth > self._told:
            self._told = twentieth
            passed = time.perf_counter() - self._begun
            print(f"{self._name}: {5 * twentieth} % after {passed:.0f} s", file=sys.stderr)


@contextmanager
def _timed(row: Row) -> Iterator[None]:
    """Put into a row what happens inside takes: of the clock, and of the CPU."""
    begun, used = time.perf_counter(), _cpu_s()
    yield
    row |= {"seconds": time.perf_counter() - begun, "cpu_s": _cpu_s() - used}


def _cpu_s() -> float:
    usages = [resource.getrusage(who) for who in (resource.RUSAGE_SELF, resource.RUSAGE_CHILDREN)]
    return sum(usage.ru_utime + usage.ru_stime for usage in usages)


def _peak_mb() -> float:
    return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024


def _model() -> Embedder:
    settings = load_settings()
    model = read_recipe(settings.recipe).model
    return prepare_embedder(settings.embedding_model, model, settings.cache)


def add(folder: Path, store: Path) -> Row:
    """Add a folder to a library that does not exist yet."""
    row: Row = {}
    with _timed(row):
        library = Library(load_settings(library=store))
        report = library.add([folder], progress=Meter("add"))
    passages = sum(outcome.passages for outcome in report.outcomes)
    counts = {state: report.count(state) for state in ("added", "alias", "failed")}
    return {**row, "passages": passages, **counts}


def embed(store: Path) -> Row:
    """Embed the texts that a library embedded, and nothing else, in one call."""
    opened = Store(store)
    texts = [text for _, each in opened.embedded_otherwise("") for text in each]
    opened.close()
    embedder, meter = _model(), Meter("embedding alone")
    embedder.embed(texts[:64])
    done = 0

    def progress(count: int) -> None:
        nonlocal done
        done += count
        meter("", done, len(texts))

    row: Row = {}
    with _timed(row):
        embedder.embed(texts, progress)
    return {**row, "passages": len(texts)}


def tutorial(folder: Path, store: Path) -> Row:
    """The tutorial's way: a loader for each format, chunks of 1000/200, Chroma."""
    row: Row = {}
    failed = 0
    with _timed(row):
        from langchain_community.document_loaders import CSVLoader, PyPDFLoader, TextLoader
        from langchain_text_splitters import RecursiveCharacterTextSplitter

        from evals.bench.tutorial import open_store

        documents = []
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
        vectors, meter = open_store(store), Meter("tutorial")
        for start in range(0, len(chunks), 5000):
            vectors.add_documents(chunks[start : start + 5000])
            meter("", start + 5000, len(chunks))
    return {**row, "passages": len(chunks), "failed": failed}


def grow(folder: Path, size: int) -> Row:
    """A library of ``size`` passages: the time to fill it, then of all that is done with it."""
    files, aside = _files(folder, size)
    settings = load_settings(library=folder / "library")
    model = _model()
    filling = Library(settings, FreeEmbedder(model.digest))
    filled = seconds(lambda: filling.add([files], progress=Meter(f"{size:,} passages")))
    memory = _peak_mb()
    library = Library(settings, model)
    one = seconds(lambda: library.add([aside]))
    search_ms = _search_ms(settings.library, model.digest)
    with Assistant.open(settings) as assistant:
        opened, *asked = [seconds(partial(assistant.ask, question)) for question in _QUESTIONS]
    disk = sum(path.stat().st_size for path in settings.library.iterdir()) / 1e6
    removed = seconds(lambda: library.remove([aside.name]))
    return {
        "passages": size,
        "fill_s": filled,
        "fill_memory_mb": memory,
        "one_more_s": one,
        "search_ms": search_ms,
        "first_ask_s": opened,
        "ask_ms": statistics.median(asked) * 1000,
        "remove_s": removed,
        "disk_mb": disk,
    }


def _files(folder: Path, size: int) -> tuple[Path, Path]:
    """A folder of made-up files with that many passages, and one file of a hundred beside it."""
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
    return files, last.rename(folder / last.name)


def _search_ms(folder: Path, digest: str) -> float:
    """Median milliseconds of a search of the library alone, after a first one."""
    embedder = FreeEmbedder(digest)
    shelf = Shelf(folder, embedder)
    weights = dict.fromkeys(("a7", "b70", "c700", "text"), 0.25)
    searches = [
        seconds(partial(shelf.search, vector, weights, lambda source: True, 8))
        for vector in embedder.embed([""] * 12)
    ]
    shelf.close()
    return statistics.median(searches[1:]) * 1000


STEPS: dict[str, Callable[..., Row]] = {
    "add": lambda folder, store: add(Path(folder), Path(store)),
    "embed": lambda store: embed(Path(store)),
    "tutorial": lambda folder, store: tutorial(Path(folder), Path(store)),
    "grow": lambda folder, size: grow(Path(folder), int(size)),
}


class Bench:
    """Runs steps in processes of their own, and knows the rows of those that are done."""

    def __init__(self, work: Path) -> None:
        self.work = work
        self._rows = work / "rows.jsonl"

    def row(self, name: str, *arguments: str, fresh: Path) -> Row:
        """What a step measured, from now or from before; ``fresh`` is what it makes, from nothing."""
        for line in self._rows.read_text("utf-8").splitlines() if self._rows.exists() else ():
            known: Row = json.loads(line)
            if known["step"] == " ".join((name, *arguments)):
                return known
        if name != "embed":
            shutil.rmtree(fresh, ignore_errors=True)
        command = [sys.executable, "-m", "evals.bench.ingest", "--step", name, *arguments]
        environment = os.environ | {
            "HF_HUB_OFFLINE": "1",
            "SAFETY_ASSISTANT_LIBRARY": str(NO_LIBRARY),
        }
        done = subprocess.run(command, check=True, env=environment, stdout=subprocess.PIPE)
        measured: Row = {
            "step": " ".join((name, *arguments)),
            **json.loads(done.stdout.splitlines()[-1]),
        }
        with self._rows.open("a", encoding="utf-8") as file:
            file.write(json.dumps(measured) + "\n")
        return measured


def main() -> None:
    """Measure and print two Markdown tables."""
    parser = argparse.ArgumentParser(
        prog="python -m evals.bench.ingest",
        description=__doc__,
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    parser.add_argument("folder", type=Path, nargs="?", help="the files to take in")
    parser.add_argument("--sizes", default="1000,10000,100000", help="passages, comma separated")
    parser.add_argument("--keep", type=Path, help="a folder for what is made, to go on from")
    parser.add_argument("--step", nargs="+", help=argparse.SUPPRESS)
    given = parser.parse_args()
    if given.step:
        measured = STEPS[given.step[0]](*given.step[1:])
        print(json.dumps({**measured, "memory_mb": _peak_mb()}))
        return
    work = given.keep or Path(tempfile.mkdtemp(prefix="bench-ingest-"))
    work.mkdir(parents=True, exist_ok=True)
    try:
        print(f"{platform.machine()}, {os.cpu_count()} cores, Python {platform.python_version()}\n")
        if given.folder:
            _print_folder(given.folder.resolve(), Bench(work.resolve()))
        _print_growth([int(size) for size in given.sizes.split(",") if size], Bench(work.resolve()))
    finally:
        if not given.keep:
            shutil.rmtree(work, ignore_errors=True)


def _print_folder(folder: Path, bench: Bench) -> None:
    library, chroma = bench.work / "library", bench.work / "tutorial"
    print("| what | seconds | CPU s | passages | peak MB |\n|---|---|---|---|---|")
    ours = _printed("add", bench.row("add", str(folder), str(library), fresh=library))
    alone = _printed("embedding alone", bench.row("embed", str(library), fresh=library))
    theirs = _printed(
        "LangChain tutorial", bench.row("tutorial", str(folder), str(chroma), fresh=chroma)
    )
    counts = ", ".join(f"{name} {ours[name]}" for name in ("added", "alias", "failed"))
    print(f"\nOf the files: {counts}.")
    for name in ("seconds", "cpu_s"):
        times, of_embedding = theirs[name] / ours[name], ours[name] / alone[name]
        unit = "CPU time" if name == "cpu_s" else "time"
        print(f"By {unit}: {times:.2f} times the tutorial's throughput,", end=" ")
        print(f"{of_embedding:.2f} times embedding alone.")


def _printed(name: str, row: Row) -> Row:
    numbers = (row[key] for key in ("seconds", "cpu_s", "passages", "memory_mb"))
    print(f"| {name} | {' | '.join(f'{number:,.0f}' for number in numbers)} |", flush=True)
    return row


def _print_growth(sizes: Sequence[int], bench: Bench) -> None:
    for place, size in enumerate(sizes):
        grown = bench.work / f"grown-{size}"
        row = bench.row("grow", str(grown), str(size), fresh=grown)
        shutil.rmtree(grown, ignore_errors=True)
        names = [name for name in row if name != "step"]
        if place == 0:
            print("\n| " + " | ".join(names) + " |\n" + "|---" * len(names) + "|")
        print("| " + " | ".join(f"{row[name]:,.5g}" for name in names) + " |", flush=True)


if __name__ == "__main__":
    main()
