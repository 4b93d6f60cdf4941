"""``python -m evals.peers --questions FILE``: the table of all peers and the product itself.

Answerable questions only, and no follow-ups, which need what was asked before. Settings of the
assistant apply: SAFETY_ASSISTANT_CORPUS names another corpus.
"""

from __future__ import annotations

import argparse
import json
import shutil
import sys
import tempfile
from collections.abc import Sequence
from dataclasses import asdict
from pathlib import Path

from rich.console import Console
from rich.progress import Progress

from assistant import load_settings
from assistant.documents import Corpus, load_corpus
from evals.peers.base import Passage
from evals.peers.compare import Result, measure_again, run_peer, table
from evals.peers.registry import PEERS
from evals.questions import EvalQuestion, QuestionSetError, load_questions


def passages_of(corpus: Corpus) -> list[Passage]:
    """Every provision as it stands in its file."""
    return [
        Passage(entry.id, document.text[entry.start : entry.stop])
        for document in corpus.documents
        for entry in document.provisions
    ]


def questions_of(paths: Sequence[Path]) -> list[EvalQuestion]:
    """The questions that can be ranked; raises QuestionSetError, also for an id used twice."""
    chosen: dict[str, EvalQuestion] = {}
    for path in paths:
        for question in load_questions(path):
            if question.id in chosen:
                raise QuestionSetError(f"{path}: the id {question.id} is in another file, too")
            if question.answerable and question.kind != "follow-up":
                chosen[question.id] = question
    if not chosen:
        raise QuestionSetError(f"{paths[0]}: no answerable question besides follow-ups")
    return list(chosen.values())


def names_of(text: str) -> list[str]:
    """Peers in the order of the table, the product first and always."""
    names = [name.strip() for name in text.split(",")]
    for name in names:
        if name not in PEERS:
            message = f"unknown peer '{name}'; known: {', '.join(PEERS)}"
            raise argparse.ArgumentTypeError(message)
    return [name for name in PEERS if name in names or name == "assistant"]


def positive(text: str) -> int:
    """A whole number of at least 1."""
    value = int(text)
    if value < 1:
        raise argparse.ArgumentTypeError(f"must be at least 1, not {value}")
    return value


def write(path: Path, corpus: Corpus, k: int, results: Sequence[Result]) -> None:
    """All rows as one JSON file; called after each peer, so that an interrupted run leaves some."""
    data = {"corpus": corpus.version, "k": k, "peers": [asdict(result) for result in results]}
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(json.dumps(data, ensure_ascii=False, indent=1) + "\n", "utf-8")


def main(argv: Sequence[str] | None = None) -> int:
    """Run what the command line asks for; 0 when every peer ran, 1 when one did not."""
    parser = argparse.ArgumentParser(prog="python -m evals.peers", description=__doc__)
    parser.add_argument("--questions", type=Path, action="append", required=True, metavar="FILE")
    parser.add_argument("--peers", type=names_of, default=list(PEERS), metavar="NAME,NAME")
    parser.add_argument("--k", type=positive, default=50, help="depth of the rankings")
    parser.add_argument("--again", type=Path, metavar="FILE.json", help="what --out kept: its rankings are measured by today's gold, and only the assistant is asked anew")  # fmt: skip
    parser.add_argument("--out", type=Path, metavar="FILE.json", help="rows by question")
    arguments = parser.parse_args(argv)
    try:
        questions = questions_of(arguments.questions)
    except (QuestionSetError, OSError) as error:
        parser.error(str(error))
    with tempfile.TemporaryDirectory(prefix="peers-") as folder:
        # A copy, so that every peer is given the same corpus though its files be edited meanwhile.
        copied = shutil.copytree(load_settings().corpus, Path(folder) / "corpus")
        corpus = load_corpus(copied)
        results = run_all(arguments, copied, corpus, questions)
    print(table(results))
    count = len(corpus.provisions)
    print(f"\n{len(questions)} questions, {count} provisions, corpus {corpus.version}.")
    unknown = {gold.id for entry in questions for gold in entry.gold} - set(corpus.by_id)
    if unknown:
        print(f"Gold that the corpus does not hold: {', '.join(sorted(unknown))}.")
    return int(any(result.problem for result in results))


def run_all(
    arguments: argparse.Namespace, folder: Path, corpus: Corpus, questions: Sequence[EvalQuestion]
) -> list[Result]:
    """Run one peer after the other, showing how far it is, and write what there is after each."""
    passages = passages_of(corpus)
    earlier = json.loads(arguments.again.read_text("utf-8"))["peers"] if arguments.again else []
    kept = {peer["name"]: peer for peer in earlier if peer["name"] != "assistant"}
    results: list[Result] = []
    with Progress(console=Console(stderr=True)) as progress:
        task = progress.add_task("", total=len(arguments.peers) * len(questions))
        for number, name in enumerate(arguments.peers):

            def step(doing: str, done: int, number: int = number, name: str = name) -> None:
                completed = number * len(questions) + done
                progress.update(task, description=f"{name}: {doing}", completed=completed)

            if name in kept:
                results.append(measure_again(kept[name], questions))
            else:
                results.append(run_peer(name, folder, passages, questions, arguments.k, step))
            if arguments.out:
                write(arguments.out, corpus, arguments.k, results)
        progress.update(task, completed=len(arguments.peers) * len(questions))
    return results


if __name__ == "__main__":
    sys.exit(main())
