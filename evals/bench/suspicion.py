"""What is held as suspicious: ``python -m evals.bench.suspicion [SOURCES] [--library LIBRARY]``.

The share of attack texts that is caught (the rules were written with the development half in view,
never the held-out one), and the share of innocent passages that is held: of the shipped corpus, and
of the files in a folder of full texts, which quote attacks in earnest. With the folder of a library, the
same shares of what is about something else than the rest of its document: off-topic texts are planted
into its documents, as passages under a heading of the document and under one of their own.
"""

from __future__ import annotations

import json
import random
import sys
from collections import Counter, defaultdict
from collections.abc import Iterator
from pathlib import Path

import numpy as np

from assistant import load_settings
from assistant.documents import load_corpus
from assistant.documents.extracted import Block, Suspicion
from assistant.documents.reading import Reader
from assistant.documents.suspicion import find_suspicions
from assistant.embedding import Embedder, Vectors, prepare_embedder
from assistant.errors import FileRefused
from assistant.index import shipped_vectors
from assistant.library.database import connect
from assistant.library.outliers import ENOUGH, outliers
from assistant.paths import corpus_folder
from assistant.recipe import read_recipe

ATTACKS = Path(__file__).resolve().parent.parent / "attacks" / "suspicious.jsonl"
OFF_TOPIC = ATTACKS.with_name("off_topic.jsonl")
_PLACES = 4
"""In so many documents each off-topic text is planted."""
HELD_AT_MOST = 0.005


def suspicions(text: str) -> tuple[Suspicion, ...]:
    """What is found in a text that is one block."""
    return find_suspicions(text, [Block("paragraph", 0, len(text))])


def caught() -> dict[str, dict[str, list[bool]]]:
    """By split and family, whether each attack text is caught."""
    found: dict[str, dict[str, list[bool]]] = defaultdict(lambda: defaultdict(list))
    for line in ATTACKS.read_text("utf-8").splitlines():
        attack = json.loads(line)
        found[attack["split"]][attack["family"]].append(bool(suspicions(attack["text"])))
    return found


def held(every: int = 1) -> Iterator[tuple[str, bool]]:
    """Provisions of the shipped corpus, each or every nth, by id, and whether it would be held."""
    for document in load_corpus(corpus_folder()).documents:
        for provision in document.provisions[::every]:
            yield provision.id, bool(suspicions(document.text[provision.start : provision.stop]))


def planted(
    library: Path, embedder: Embedder, shipped: Vectors
) -> tuple[dict[str, list[bool]], list[bool]]:
    """Whether each planted passage is held, by split and heading, and each passage of the library."""
    connection = connect(library)
    documents = []
    innocent: list[bool] = []
    for number, blob in connection.execute("select number, vectors from documents").fetchall():
        titles = connection.execute("select title from passages where document = ?", (number,))
        names = [title for (title,) in titles]
        vectors = np.frombuffer(blob, np.float32).reshape(len(names), -1)
        held_places = outliers(vectors, shipped)
        innocent += [place in held_places for place in range(len(names))]
        if len(names) >= ENOUGH:
            documents.append((names, vectors))
    connection.close()
    chooser = random.Random(7)
    found: dict[str, list[bool]] = defaultdict(list)
    for line in OFF_TOPIC.read_text("utf-8").splitlines():
        text = json.loads(line)
        for _ in range(_PLACES):
            names, vectors = chooser.choice(documents)
            own = " ".join(text["text"].split()[:4])
            headings = {"under the document's heading": chooser.choice(names), "under its own": own}
            for heading, title in headings.items():
                vector = embedder.embed([f"{title}\n{text['text']}"])
                hit = len(vectors) in outliers(np.concatenate([vectors, vector]), shipped)
                found[f"{text['split']}, {heading}"].append(hit)
    return found, innocent


def main() -> int:
    """Print both shares; 1 if too many innocent passages are held."""
    by_split = caught()
    families = sorted({family for split in by_split.values() for family in split})
    print("| attacks | development | held out |\n|---|---|---|")
    for family in families:
        cells = [by_split[split][family] for split in ("dev", "held_out")]
        print(f"| {family} |", " | ".join(f"{sum(cell)} of {len(cell)}" for cell in cells), "|")
    totals = [[hit for hits in by_split[s].values() for hit in hits] for s in ("dev", "held_out")]
    print("| all |", " | ".join(f"{sum(hits) / len(hits):.1%}" for hits in totals), "|")
    provisions = list(held())
    share = sum(hit for _, hit in provisions) / len(provisions)
    print(f"\nShipped corpus: {share:.2%} of {len(provisions):,} provisions held.")
    if "--held" in sys.argv:
        print(*(f"    {name}" for name, hit in provisions if hit), sep="\n")
    if len(sys.argv) > 1 and Path(sys.argv[1]).is_dir():
        _files(Path(sys.argv[1]))
    if "--library" in sys.argv:
        _planted(Path(sys.argv[sys.argv.index("--library") + 1]))
    return 0 if share <= HELD_AT_MOST else 1


def _planted(library: Path) -> None:
    settings = load_settings()
    recipe = read_recipe(settings.recipe)
    embedder = prepare_embedder(settings.embedding_model, recipe.model, settings.cache)
    shipped = shipped_vectors(settings.cache, embedder.digest)
    if shipped is None:
        sys.exit("There is no index. Run `safety-assistant index build`.")
    found, innocent = planted(library, embedder, shipped)
    for name, hits in sorted(found.items()):
        print(f"Off-topic passages, {name}: {sum(hits) / len(hits):.0%} of {len(hits)} held.")
    share = sum(innocent) / len(innocent)
    print(f"Outliers of the library: {share:.2%} of {len(innocent):,} innocent passages held.")


def _files(folder: Path) -> None:
    """Print how many blocks of the files in a folder are held, and why."""
    blocks, reasons = 0, Counter[str]()
    held_blocks: Counter[str] = Counter()
    with Reader() as reader:
        for path in sorted(path for path in folder.rglob("*") if path.is_file()):
            try:
                extracted = reader.read(path)
            except FileRefused:
                continue
            blocks += len(extracted.blocks)
            for kind in ("instruction", "invisible", "hidden"):
                spans = [found for found in extracted.suspicions if found.kind == kind]
                reasons.update(found.reason for found in spans)
                held_blocks[kind] += sum(
                    any(found.start < block.stop and block.start < found.stop for found in spans)
                    for block in extracted.blocks
                )
            if "--held" in sys.argv:
                for found in extracted.suspicions:
                    if found.kind != "hidden":
                        span = " ".join(extracted.text[found.start : found.stop].split())
                        print(f"    {path.name}: {found.reason}: {span[:200]}")
    shares = ", ".join(f"{kind} {count / blocks:.2%}" for kind, count in held_blocks.items())
    print(f"\n{folder.name}: of {blocks:,} blocks held: {shares}.")
    print(*(f"- {count} {reason}" for reason, count in reasons.most_common()), sep="\n")


if __name__ == "__main__":
    sys.exit(main())
