"""The index: built in steps, beside the old one, and never open when it is not whole."""

from __future__ import annotations

import itertools
import json
import shutil
import signal
import subprocess
import sys
from collections.abc import Callable, Iterator
from itertools import pairwise
from pathlib import Path
from typing import Any

import filelock
import numpy as np
import pytest

from assistant import (
    Assistant,
    IndexBusy,
    IndexDamaged,
    IndexMismatch,
    IndexMissing,
    Settings,
    load_settings,
)
from assistant.chunking import chunk_document
from assistant.documents import Corpus, load_corpus
from assistant.embedding import Vectors
from assistant.index import (
    Asked,
    BuildReport,
    Index,
    build_index,
    open_index,
    shipped_vectors,
    verify_index,
)
from assistant.index.build import lexical_rows
from assistant.index.lexical import Lexical, write_lexical
from assistant.index.reader import MISSED, pointed_at
from assistant.questions import read_question
from assistant.ranking import load_ranking
from assistant.recipe import read_recipe
from assistant.retrieval import Retriever
from tests.conftest import ROOT, SMALL, HashEmbedder

COMMAND = "`safety-assistant index build`"
FRESH = "`safety-assistant index build --fresh`"


def build(corpus: Corpus, settings: Settings, fresh: bool = False) -> BuildReport:
    return build_index(corpus, settings, fresh=fresh, embedder=HashEmbedder())


def opened(corpus: Corpus, settings: Settings) -> Index:
    return open_index(corpus, settings, HashEmbedder())


def answers(index: Index, settings: Settings) -> bool:
    """Whether the index is whole and a question put to it is answered."""
    retriever = Retriever(index, HashEmbedder(), load_ranking(settings.recipe))
    assistant = Assistant(settings, index.corpus, index, retriever)
    return verify_index(index) == [] and assistant.ask("EX01").outcome == "answered"


def edit(folder: Path, name: str, old: str, new: str) -> Corpus:
    """Change one passage of a corpus file and load the corpus again."""
    path = folder / "sources" / f"{name}.md"
    text = path.read_text("utf-8")
    assert text.count(old) == 1
    path.write_text(text.replace(old, new), encoding="utf-8")
    return load_corpus(folder)


def folders(cache: Path, prefix: str) -> set[str]:
    return {path.name for path in cache.glob(f"{prefix}*")}


# Building what changed


def test_first_build_embeds_each_text_once_and_the_second_none(
    small_corpus: Corpus, small_settings: Settings
) -> None:
    first, second = HashEmbedder(), HashEmbedder()
    report = build_index(small_corpus, small_settings, embedder=first)
    assert report.changed
    assert report.embedded == len(first.embedded) == len(set(first.embedded)) > 0
    generation = pointed_at(small_settings.cache)
    again = build_index(small_corpus, small_settings, embedder=second)
    assert second.embedded == []
    assert not again.changed and again.manifest == report.manifest
    assert pointed_at(small_settings.cache) == generation
    assert len(folders(small_settings.cache, "generation-")) == 1


def test_fresh_embeds_everything_again(small_corpus: Corpus, small_settings: Settings) -> None:
    first = build(small_corpus, small_settings)
    again = build(small_corpus, small_settings, fresh=True)
    assert (again.embedded, again.reused) == (first.embedded, 0)


def test_one_changed_provision_embeds_only_its_texts(
    small_corpus: Corpus, small_folder: Path, small_settings: Settings
) -> None:
    before = build(small_corpus, small_settings)
    old = "Keep instructions and user input apart in the prompt."
    new = "Keep instructions apart from what users type."
    changed = edit(small_folder, "example-guideline", old, new)
    embedder = HashEmbedder()
    report = build_index(changed, small_settings, embedder=embedder)
    assert len(embedder.embedded) == report.embedded == 2
    passage = next(text for text in embedder.embedded if text.startswith("Filter what users type"))
    assert passage.endswith(new)
    assert set(embedder.embedded) == {new, passage}
    assert report.reused == before.embedded - 2
    with opened(changed, small_settings) as index:
        assert answers(index, small_settings)
        number = index.number["example-guideline#EX02"]
        assert index.lexical.search(["type"], [1.0] * 5, 9)[0][0] == number


def test_removed_source_is_gone_from_both_stores(
    small_corpus: Corpus, small_folder: Path, small_settings: Settings
) -> None:
    build(small_corpus, small_settings)
    with opened(small_corpus, small_settings) as index:
        assert index.store.count("evidence") == 2
        assert index.lexical.holders("shell")
    (small_folder / "sources" / "example-incidents.md").unlink()
    smaller = load_corpus(small_folder)
    embedder = HashEmbedder()
    build_index(smaller, small_settings, embedder=embedder)
    assert embedder.embedded == []
    with opened(smaller, small_settings) as index:
        assert index.store.count("evidence") == 0
        assert index.store.ids("evidence") == set()
        assert index.lexical.count() == len(smaller.provisions)
        assert not index.lexical.holders("shell")
        assert answers(index, small_settings)


def test_provision_moved_to_another_binding_moves_with_it(
    small_corpus: Corpus, small_folder: Path, small_settings: Settings
) -> None:
    build(small_corpus, small_settings)
    moved = edit(small_folder, "example-incidents", "binding: evidence", "binding: voluntary")
    assert build(moved, small_settings).embedded == 0
    with opened(moved, small_settings) as index:
        assert index.store.count("evidence") == 0
        assert answers(index, small_settings)


def test_another_model_gets_vectors_of_its_own(
    small_corpus: Corpus, small_settings: Settings
) -> None:
    """A build for another model takes nothing over from the old one, not even its stored vectors."""

    class Reversed(HashEmbedder):
        def embed(self, texts: object, progress: Callable[[int], None] | None = None) -> Vectors:
            return np.ascontiguousarray(super().embed(texts, progress)[:, ::-1])  # type: ignore[arg-type]

    build(small_corpus, small_settings)
    other = Reversed("reversed-64")
    report = build_index(small_corpus, small_settings, embedder=other)
    assert report.reused == 0
    with open_index(small_corpus, small_settings, other) as index:
        assert verify_index(index) == []


def test_new_index_is_built_beside_the_old_one_and_swapped(
    small_corpus: Corpus, small_folder: Path, small_settings: Settings
) -> None:
    build(small_corpus, small_settings)
    old = pointed_at(small_settings.cache)
    assert old is not None
    reader = opened(small_corpus, small_settings)
    changed = edit(small_folder, "example-guideline", "every week", "every month")
    seen: list[Path | None] = []

    def look(stage: str, done: int, total: int) -> None:
        """At each step the old index is still the one in use, and opens."""
        seen.append(pointed_at(small_settings.cache))
        opened(small_corpus, small_settings).close()

    build_index(changed, small_settings, look, embedder=HashEmbedder())
    assert len(seen) > 5 and set(seen) == {old}
    new = pointed_at(small_settings.cache)
    assert new is not None and new != old
    assert folders(small_settings.cache, "generation-") == {old.name, new.name}
    assert folders(small_settings.cache, "partial-") == set()
    assert answers(reader, small_settings), "an index that was open goes on answering"
    reader.close()
    build(small_corpus, small_settings)
    newest = pointed_at(small_settings.cache)
    assert newest is not None
    assert folders(small_settings.cache, "generation-") == {new.name, newest.name}


def test_progress_counts_up_to_the_total_of_each_stage(
    small_corpus: Corpus, small_settings: Settings
) -> None:
    calls: list[tuple[str, int, int]] = []
    build_index(
        small_corpus, small_settings, lambda *call: calls.append(call), embedder=HashEmbedder()
    )
    stages = list(dict.fromkeys(stage for stage, _, _ in calls))
    assert len(stages) == 3
    assert [stage for stage, _, _ in calls] == sorted(
        (stage for stage, _, _ in calls), key=stages.index
    )
    for stage in stages:
        steps = [done for name, done, _ in calls if name == stage]
        totals = {total for name, _, total in calls if name == stage}
        assert steps == sorted(steps) and steps[0] == 0
        assert totals == {steps[-1]}


# A build that is killed

CHILD = """
import signal, sys
signal.alarm(60)
from pathlib import Path
from assistant import load_settings
from assistant.documents import load_corpus
from assistant.index import build_index
from tests.conftest import HashEmbedder

corpus, cache, what, when = Path(sys.argv[1]), Path(sys.argv[2]), sys.argv[3], float(sys.argv[4])
stages, events = [], []

def pause():
    print("here", flush=True)
    signal.pause()

def progress(stage, done, total):
    if stage not in stages:
        stages.append(stage)
    if what == str(len(stages)) and done >= when * total:
        pause()

def hook(event, values):
    if event == what and str(cache) in str(values[-3:]):
        events.append(event)
        if len(events) == when:
            pause()

settings = load_settings(corpus=corpus, cache=cache, lock_timeout_s=30)
loaded = load_corpus(corpus)
sys.addaudithook(hook)
if what == "wait":
    print("ready", flush=True)
    sys.stdin.readline()
report = build_index(loaded, settings, progress, embedder=HashEmbedder())
print(report.embedded, report.reused)
"""


def child(corpus: Path, cache: Path, what: str, when: float = 0) -> subprocess.Popen[str]:
    """A process that builds the index and pauses, holding the lock, at a moment.

    what: the number of a stage, from 1, with ``when`` the share of it that is done; or the name of
    an audit event on a path in the cache, with ``when`` its number; or "wait", for a line of input.
    """
    return subprocess.Popen(
        [sys.executable, "-c", CHILD, str(corpus), str(cache), what, str(when)],
        cwd=ROOT,
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        text=True,
    )


def line(process: subprocess.Popen[str]) -> str:
    assert process.stdout is not None
    return process.stdout.readline().strip()


def kill(process: subprocess.Popen[str]) -> None:
    process.kill()
    process.communicate()
    assert process.returncode == -signal.SIGKILL


@pytest.mark.parametrize(
    ("what", "when"),
    [
        pytest.param("1", 0, id="preparing"),
        pytest.param("2", 0, id="before embedding"),
        pytest.param("2", 0.5, id="while embedding"),
        pytest.param("3", 0.3, id="while writing vectors"),
        pytest.param("3", 1, id="vectors written"),
        pytest.param("os.rename", 1, id="before naming the generation"),
        pytest.param("os.rename", 2, id="before moving the pointer"),
    ],
)
def test_kill_9_leaves_the_old_index_working(
    small_corpus: Corpus, small_folder: Path, small_settings: Settings, what: str, when: float
) -> None:
    build(small_corpus, small_settings)
    changed = edit(small_folder, "example-guideline", "every week", "every month")
    process = child(small_folder, small_settings.cache, what, when)
    assert line(process) == "here"
    kill(process)
    with opened(small_corpus, small_settings) as index:
        assert answers(index, small_settings)
    report = build(changed, small_settings)
    assert (report.embedded, report.changed) == (2, True)
    with opened(changed, small_settings) as index:
        assert answers(index, small_settings)
    assert folders(small_settings.cache, "partial-") == set()
    assert len(folders(small_settings.cache, "generation-")) == 2


def test_kill_9_while_tidying_up_leaves_the_new_index_working(
    small_corpus: Corpus, small_folder: Path, small_settings: Settings
) -> None:
    build(small_corpus, small_settings)
    build(small_corpus, small_settings, fresh=True)
    changed = edit(small_folder, "example-guideline", "every week", "every month")
    process = child(small_folder, small_settings.cache, "shutil.rmtree", 1)
    assert line(process) == "here"
    kill(process)
    with opened(changed, small_settings) as index:
        assert answers(index, small_settings)
    build(changed, small_settings, fresh=True)
    assert len(folders(small_settings.cache, "generation-")) == 2


def test_kill_9_of_the_first_build_leaves_no_index_and_the_next_one_succeeds(
    small_corpus: Corpus, small_folder: Path, small_settings: Settings
) -> None:
    process = child(small_folder, small_settings.cache, "3", 0.3)
    assert line(process) == "here"
    kill(process)
    with pytest.raises(IndexMissing, match=COMMAND):
        opened(small_corpus, small_settings)
    build(small_corpus, small_settings)
    with opened(small_corpus, small_settings) as index:
        assert answers(index, small_settings)
    assert folders(small_settings.cache, "partial-") == set()


# Two at once


def test_two_builds_at_once_both_end_well(
    small_corpus: Corpus, small_folder: Path, small_settings: Settings
) -> None:
    pair = [child(small_folder, small_settings.cache, "wait") for _ in range(2)]
    assert [line(process) for process in pair] == ["ready", "ready"]
    for process in pair:
        assert process.stdin is not None
        process.stdin.write("go\n")
        process.stdin.flush()
    outputs = [process.communicate(timeout=60)[0] for process in pair]
    assert [process.returncode for process in pair] == [0, 0]
    embedded = sorted(int(output.split()[0]) for output in outputs)
    assert embedded[0] == 0 and embedded[1] > 0, "the second finds the work of the first"
    with opened(small_corpus, small_settings) as index:
        assert answers(index, small_settings)
    assert len(folders(small_settings.cache, "generation-")) == 1


def test_busy_while_another_process_builds_and_the_old_index_answers(
    small_corpus: Corpus, small_folder: Path, small_settings: Settings
) -> None:
    build(small_corpus, small_settings)
    impatient = load_settings(corpus=small_folder, cache=small_settings.cache, lock_timeout_s=0.1)
    changed = edit(small_folder, "example-guideline", "every week", "every month")
    process = child(small_folder, small_settings.cache, "2")
    assert line(process) == "here"
    try:
        with pytest.raises(IndexBusy, match=r"0\.1 s"):
            build(changed, impatient)
        with opened(small_corpus, impatient) as index:
            assert answers(index, impatient)
    finally:
        kill(process)
    assert build(changed, impatient).changed, "the lock of a killed process is free"


def test_waiting_for_the_lock_ends_when_it_is_released(
    small_corpus: Corpus, small_settings: Settings
) -> None:
    small_settings.cache.mkdir()
    lock = filelock.FileLock(small_settings.cache / "build.lock")
    with lock, pytest.raises(IndexBusy):
        build(small_corpus, load_settings(cache=small_settings.cache, lock_timeout_s=0))
    assert build(small_corpus, small_settings).changed


# Opening what is absent, other or damaged


def test_missing(small_corpus: Corpus, small_settings: Settings) -> None:
    with pytest.raises(IndexMissing, match=COMMAND):
        opened(small_corpus, small_settings)


@pytest.mark.parametrize("pointer", ["", "generation-none", "\x00", "\ufffd" * 400])
def test_pointer_to_nothing_is_a_missing_index(
    small_corpus: Corpus, small_settings: Settings, pointer: str
) -> None:
    small_settings.cache.mkdir()
    (small_settings.cache / "current").write_text(pointer, encoding="utf-8")
    with pytest.raises(IndexMissing, match=COMMAND):
        opened(small_corpus, small_settings)
    assert build(small_corpus, small_settings).changed


def test_built_for_another_corpus(
    small_corpus: Corpus, small_folder: Path, small_settings: Settings
) -> None:
    build(small_corpus, small_settings)
    changed = edit(small_folder, "example-guideline", "every week", "every month")
    with pytest.raises(IndexMismatch, match=f"corpus.*{COMMAND}"):
        opened(changed, small_settings)


def test_built_for_another_recipe(
    small_corpus: Corpus, small_settings: Settings, tmp_path: Path
) -> None:
    build(small_corpus, small_settings)
    recipe = tmp_path / "recipe"
    recipe.mkdir()
    text = (small_settings.recipe / "recipe.toml").read_text("utf-8")
    (recipe / "recipe.toml").write_text(text.replace("max_chars = ", "max_chars = 1"), "utf-8")
    other = load_settings(recipe=recipe, cache=small_settings.cache)
    with pytest.raises(IndexMismatch, match=f"recipe.*{COMMAND}"):
        opened(small_corpus, other)


def test_built_for_another_model(small_corpus: Corpus, small_settings: Settings) -> None:
    build(small_corpus, small_settings)
    with pytest.raises(IndexMismatch, match=f"hash-64.*{COMMAND}"):
        open_index(small_corpus, small_settings, HashEmbedder("another"))


def test_built_in_another_format(small_corpus: Corpus, small_settings: Settings) -> None:
    build(small_corpus, small_settings)
    generation = pointed_at(small_settings.cache)
    assert generation is not None
    path = generation / "manifest.json"
    path.write_text(json.dumps({**json.loads(path.read_text("utf-8")), "format": 0}), "utf-8")
    with pytest.raises(IndexMismatch, match=f"format.*{COMMAND}"):
        opened(small_corpus, small_settings)


Damage = Callable[[Path], None]


def removed(path: Path) -> None:
    if path.is_dir():
        shutil.rmtree(path)
    else:
        path.unlink()


def emptied(path: Path) -> None:
    path.write_bytes(b"")


def halved(path: Path) -> None:
    path.write_bytes(path.read_bytes()[: path.stat().st_size // 2])


def overwritten(path: Path) -> None:
    path.write_bytes((b"not what it was " * (path.stat().st_size // 16 + 1))[: path.stat().st_size])


def zeroed(path: Path) -> None:
    path.write_bytes(bytes(path.stat().st_size))


def nulled(path: Path) -> None:
    path.write_text("null", encoding="utf-8")


def fewer(path: Path) -> None:
    np.save(path, np.load(path)[:5])


def narrower(path: Path) -> None:
    np.save(path, np.load(path)[:, :32])


def unlike(path: Path) -> None:
    np.save(path, np.load(path)[::-1])


def not_numbers(path: Path) -> None:
    np.save(path, np.load(path) * np.nan)


def without_counts(path: Path) -> None:
    path.write_text(json.dumps({**json.loads(path.read_text("utf-8")), "records": {}}), "utf-8")


DAMAGES = [
    *[
        (name, how)
        for name in (
            "chroma/chroma.sqlite3",
            "vectors.npy",
            "keys.json",
            "lexical.sqlite3",
            "manifest.json",
        )
        for how in (removed, emptied, halved, overwritten)
    ],
    ("chroma", removed),
    *[("vectors.npy", how) for how in (fewer, narrower, unlike, not_numbers, zeroed)],
    ("keys.json", nulled),
    ("manifest.json", nulled),
    ("manifest.json", without_counts),
]


@pytest.fixture(scope="module")
def built(tmp_path_factory: pytest.TempPathFactory) -> tuple[Corpus, Path]:
    """The small corpus and a cache that holds its index, to be copied before it is damaged."""
    folder = tmp_path_factory.mktemp("built")
    corpus = load_corpus(SMALL)
    build(corpus, Settings(corpus=SMALL, cache=folder))
    return corpus, folder


@pytest.mark.parametrize(
    ("name", "how"), DAMAGES, ids=[f"{name} {how.__name__}" for name, how in DAMAGES]
)
def test_damage_is_found_when_opening_and_cured_by_a_fresh_build(
    built: tuple[Corpus, Path], tmp_path: Path, name: str, how: Damage
) -> None:
    corpus, cache = built
    settings = Settings(corpus=SMALL, cache=tmp_path / "cache")
    shutil.copytree(cache, settings.cache)
    generation = pointed_at(settings.cache)
    assert generation is not None
    how(generation / name)
    with pytest.raises(IndexDamaged, match=FRESH):
        opened(corpus, settings)
    build(corpus, settings, fresh=True)
    with opened(corpus, settings) as index:
        assert answers(index, settings)


@pytest.mark.parametrize(
    ("name", "how"), DAMAGES, ids=[f"{name} {how.__name__}" for name, how in DAMAGES]
)
def test_a_build_over_a_damaged_index_ends_with_a_whole_one(
    built: tuple[Corpus, Path], tmp_path: Path, name: str, how: Damage
) -> None:
    """Nothing damaged is taken over: a build that returns leaves an index that opens."""
    corpus, cache = built
    settings = Settings(corpus=SMALL, cache=tmp_path / "cache")
    shutil.copytree(cache, settings.cache)
    generation = pointed_at(settings.cache)
    assert generation is not None
    how(generation / name)
    build(corpus, settings)
    with opened(corpus, settings) as index:
        assert answers(index, settings)


# Chroma keeps the graph of a collection in files of its own once it has synced some records.

MANY = 600
PROVISION = """
## M{n} | Rule number {n} of many
- phases: integration
- concerns: prompt-injection
- roles: developer
- asks: What does rule {n} about word{n} say?

Rule {n} says that word{n} must be kept apart from word{m}.
"""
OPEN = """
import sys
from pathlib import Path
from assistant import IndexDamaged, Settings
from assistant.documents import load_corpus
from assistant.index import build_index, open_index, verify_index
from tests.conftest import HashEmbedder

settings = Settings(corpus=Path(sys.argv[1]), cache=Path(sys.argv[2]))
corpus = load_corpus(settings.corpus)
if len(sys.argv) > 3:
    build_index(corpus, settings, fresh=sys.argv[3] == "fresh", embedder=HashEmbedder())
try:
    with open_index(corpus, settings, HashEmbedder()) as index:
        print("whole" if verify_index(index) == [] else "broken")
except IndexDamaged as error:
    print("damaged", error)
"""


@pytest.fixture(scope="module")
def large(tmp_path_factory: pytest.TempPathFactory) -> tuple[Path, Path]:
    """A corpus of more than a thousand records, and the cache with its index."""
    folder = tmp_path_factory.mktemp("large")
    shutil.copytree(SMALL, folder / "corpus")
    sources = folder / "corpus" / "sources"
    front = (sources / "example-guideline.md").read_text("utf-8").partition("\n## ")[0]
    provisions = "".join(PROVISION.format(n=n, m=n + 7) for n in range(MANY))
    (sources / "many.md").write_text(
        front.replace("example-guideline", "many") + provisions, encoding="utf-8"
    )
    settings = Settings(corpus=folder / "corpus", cache=folder / "cache")
    build(load_corpus(settings.corpus), settings)
    return settings.corpus, settings.cache


def opening(corpus: Path, cache: Path, *build: str) -> tuple[int, str]:
    """Exit status and output of opening, and before it perhaps building, in another process."""
    done = subprocess.run(
        [sys.executable, "-c", OPEN, str(corpus), str(cache), *build],
        cwd=ROOT,
        capture_output=True,
        text=True,
        timeout=120,
    )
    return done.returncode, done.stdout.strip() or done.stderr[-300:]


def graph(cache: Path) -> Path:
    """The folder with the graph of the largest collection."""
    generation = pointed_at(cache)
    assert generation is not None
    files = (generation / "chroma").glob("*/data_level0.bin")
    return max(files, key=lambda path: path.stat().st_size).parent


@pytest.mark.parametrize(
    ("name", "how"),
    [
        ("", removed),
        ("data_level0.bin", removed),
        ("data_level0.bin", emptied),
        ("data_level0.bin", halved),
        ("data_level0.bin", overwritten),
        ("header.bin", halved),
        ("header.bin", overwritten),
        ("link_lists.bin", zeroed),
    ],
    ids=lambda value: value if isinstance(value, str) else value.__name__,
)
def test_damaged_graph_is_found_and_cured(
    large: tuple[Path, Path], tmp_path: Path, name: str, how: Damage
) -> None:
    """In a process of its own, since a graph that is read wrongly can end the process."""
    corpus, built_cache = large
    cache = tmp_path / "cache"
    shutil.copytree(built_cache, cache)
    how(graph(cache) / name)
    status, said = opening(corpus, cache)
    assert (status, said.split()[0]) == (0, "damaged"), said
    assert FRESH in said
    assert opening(corpus, cache, "fresh") == (0, "whole")


def test_a_build_over_a_lost_graph_ends_with_a_whole_index(
    large: tuple[Path, Path], tmp_path: Path
) -> None:
    corpus, built_cache = large
    cache = tmp_path / "cache"
    shutil.copytree(built_cache, cache)
    removed(graph(cache))
    assert opening(corpus, cache, "build") == (0, "whole")


def test_large_index_is_whole(large: tuple[Path, Path]) -> None:
    assert opening(*large) == (0, "whole")


@pytest.mark.parametrize(("share", "sound"), [(0.5 * MISSED, True), (1.5 * MISSED, False)])
def test_a_graph_may_miss_a_few_records(
    large: tuple[Path, Path], monkeypatch: pytest.MonkeyPatch, share: float, sound: bool
) -> None:
    """The search is approximate, so that verifying must not call an index broken for one miss."""
    corpus, cache = large
    with opened(load_corpus(corpus), Settings(corpus=corpus, cache=cache)) as index:
        nearest, every, asked = index.store.nearest, round(1 / share), itertools.count(1)

        def missing(*arguments: Any) -> list[list[tuple[str, float]]]:
            return [[] if next(asked) % every == 0 else found for found in nearest(*arguments)]

        monkeypatch.setattr(index.store, "nearest", missing)
        assert (verify_index(index) == []) is sound


def test_what_developers_ask_is_compared_exactly_and_within_the_filters(
    small_corpus: Corpus, small_settings: Settings
) -> None:
    """It is no record of the vector store."""
    (question,) = small_corpus.asked["example-guideline#EX01"]
    report = build(small_corpus, small_settings)
    assert sum(report.manifest.records.values()) == report.manifest.passages + report.manifest.asks
    with opened(small_corpus, small_settings) as index:
        vector = HashEmbedder().embed([question])[0]
        allowed = np.ones(len(small_corpus.provisions), bool)
        found = Asked(index).nearest(vector, allowed, 5)
        (cosine, number) = found["voluntary"][0]
        assert (number, cosine > 0.999) == (index.number["example-guideline#EX01"], True)
        assert found["binding"] == found["evidence"] == []
        allowed[number] = False
        assert Asked(index).nearest(vector, allowed, 5)["voluntary"] == []


# Verifying


@pytest.fixture
def index(built: tuple[Corpus, Path], tmp_path: Path) -> Iterator[Index]:
    """An open index, sound until the test plants a fault in it."""
    corpus, cache = built
    settings = Settings(corpus=SMALL, cache=tmp_path / "cache")
    shutil.copytree(cache, settings.cache)
    with opened(corpus, settings) as found:
        assert verify_index(found) == []
        yield found


def test_verify_finds_a_vector_that_is_not_the_texts(index: Index) -> None:
    row = index.rows_of[-1]["ask"][0]
    index.vectors[row] = np.roll(index.vectors[row], 7)
    assert verify_index(index)[0].startswith(f"{index.corpus.provisions[-1].id} has a record")


def test_verify_finds_a_vector_of_another_length(index: Index) -> None:
    index.vectors[index.rows_of[-1]["ask"][0]] *= 1.5
    assert verify_index(index) == ["1 vectors are not of length 1"]


def test_verify_finds_vectors_that_are_no_numbers(index: Index) -> None:
    index.vectors[index.rows_of[-1]["segment"][0]] = np.nan
    assert verify_index(index)


def test_verify_finds_two_vectors_that_changed_places(index: Index) -> None:
    """Each of the two is still in the store, as the record of the other provision."""
    law = [
        number
        for number, provision in enumerate(index.corpus.provisions)
        if provision.source_id == "example-act"
    ]
    first, second = (index.rows_of[number]["ask"][0] for number in law[-2:])
    index.vectors[[first, second]] = index.vectors[[second, first]]
    assert len(verify_index(index)) == 2


def test_verify_finds_a_provision_missing_from_the_lexical_index(
    index: Index, tmp_path: Path
) -> None:
    write_lexical(tmp_path / "less.sqlite3", list(lexical_rows(index.corpus))[:-1])
    index.lexical.close()
    index.lexical = Lexical(tmp_path / "less.sqlite3")
    assert verify_index(index) == ["the lexical index is not complete"]


# Chunks


@pytest.mark.parametrize("max_chars", [1, 60, 150, None])
@pytest.mark.parametrize("folder", [SMALL, ROOT / "corpus"], ids=["small", "shipped"])
def test_chunks_are_spans_of_the_text_and_cover_every_sentence(
    folder: Path, max_chars: int | None
) -> None:
    limit = max_chars or read_recipe(ROOT / "index").max_chars
    corpus = load_corpus(folder)
    assert corpus.documents
    for document in corpus.documents:
        chunks = list(chunk_document(document, limit))
        assert all(document.text[chunk.start : chunk.stop] == chunk.text for chunk in chunks)
        for provision in document.provisions:
            own = [chunk for chunk in chunks if chunk.provision_id == provision.id]
            assert all(before.stop <= after.start for before, after in pairwise(own))
            held = [
                [s for s in provision.segments if chunk.start <= s.start and s.stop <= chunk.stop]
                for chunk in own
            ]
            assert [s for part in held for s in part] == list(provision.segments)
            for chunk, part in zip(own, held, strict=True):
                assert len(chunk.text) <= limit or len(part) == 1
                assert (chunk.start, chunk.stop) == (part[0].start, part[-1].stop)


def test_quotes_are_lines_of_the_file() -> None:
    """A segment's offsets name the same characters in the file as it lies on the disk."""
    for path in sorted((SMALL / "sources").glob("*.md")):
        document = load_corpus(SMALL).by_source[path.stem]
        text = path.read_bytes().decode("utf-8")
        lines = {line.split(": ", 1)[-1].removeprefix("- ") for line in text.splitlines()}
        quotes = [text[s.start : s.stop] for p in document.provisions for s in p.segments]
        assert quotes and set(quotes) <= lines


def test_index_opens_in_a_folder_with_odd_characters(
    small_corpus: Corpus, small_folder: Path, tmp_path: Path
) -> None:
    cache = tmp_path / "odd # ? %41" / "ü 日本"
    settings = load_settings(corpus=small_folder, cache=cache)
    build(small_corpus, settings)
    with opened(small_corpus, settings) as index:
        assert answers(index, settings)


def test_further_questions_are_searched_by_words_and_by_vector_and_never_shown(
    small_corpus: Corpus, small_settings: Settings
) -> None:
    (question,) = small_corpus.asked["example-guideline#EX01"]
    embedder = HashEmbedder()
    report = build_index(small_corpus, small_settings, embedder=embedder)
    assert question in embedder.embedded
    with open_index(small_corpus, small_settings, embedder) as index:
        retriever = Retriever(index, embedder, load_ranking(small_settings.recipe))
        found = retriever.retrieve(read_question("pal", small_corpus))
        first = found.hits[0]
        assert first.provision.id == "example-guideline#EX01"
        assert first.signals["lexical"] == 1.0
        near = retriever.retrieve(read_question(question, small_corpus)).hits[0]
        assert near.signals["ask"] > 0.99
    assert question not in small_corpus.by_source["example-guideline"].text
    own = shipped_vectors(small_settings.cache, embedder.digest)
    assert own is not None
    near = (own @ embedder.embed([question])[0]).max()
    uncovered = len(small_corpus.uncovered)
    assert len(own) == report.embedded - 1 - uncovered and near < 0.99
