"""``make bench``: ratios against the LangChain tutorial pipeline, in one run.

Each time is the median of several repeats, taken in turns with what it is compared with, so that
both meet the same noise of the machine.
"""

from __future__ import annotations

import os
import platform
import shutil
import statistics
import subprocess
import sys
import tempfile
from collections.abc import Sequence
from pathlib import Path

from assistant import Assistant, Settings, load_settings
from assistant.embedding import open_embedder
from assistant.recipe import read_recipe
from evals import NO_LIBRARY
from evals.bench import start
from evals.bench.timing import in_turns, run, seconds

QUESTIONS = (
    "May I load a .bin checkpoint I found on a model hub?",
    "How do I stop prompt injection from retrieved documents?",
    "Do we need a data protection impact assessment before fine-tuning on support tickets?",
    "What do I have to log when my agent calls tools in production?",
)
_CLI = [sys.executable, "-m", "assistant.interfaces.cli"]
_TUTORIAL = [sys.executable, "-m", "evals.bench.tutorial"]


def peak_rss_mb(command: Sequence[str], cache: Path) -> float:
    """Peak resident memory in MB of a process that opens the assistant and asks repeatedly."""
    environment = os.environ | {
        "SAFETY_ASSISTANT_CACHE": str(cache),
        "SAFETY_ASSISTANT_LIBRARY": str(NO_LIBRARY),
    }
    output = subprocess.run(
        command, check=True, env=environment, capture_output=True, text=True
    ).stdout
    return float(output.strip().splitlines()[-1])


_WARM = """
import resource
from assistant import Assistant
with Assistant.open() as assistant:
    for _ in range(50):
        assistant.ask("How do I stop prompt injection from retrieved documents?")
print(resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024)
"""


def main() -> None:
    """Build both, measure, print a Markdown table."""
    folder = Path(tempfile.mkdtemp(prefix="bench-"))
    try:
        cache, store = folder / "cache", folder / "tutorial"
        settings = load_settings(cache=cache, library=NO_LIBRARY)
        first_build = seconds(lambda: run([*_CLI, "index", "build"], cache))
        tutorial_build = seconds(
            lambda: run([*_TUTORIAL, "build", str(settings.corpus / "sources"), str(store)], cache)
        )
        rebuild = statistics.median(
            seconds(lambda: run([*_CLI, "index", "build"], cache)) for _ in range(3)
        )
        ours, tutorial = in_turns(
            lambda: run([*_CLI, "ask", QUESTIONS[0]], cache),
            lambda: run([*_TUTORIAL, "ask", str(store), QUESTIONS[0]], cache),
            5,
        )
        changed = one_changed(settings, folder)
        warm, embedding = warm_ask(settings)
        memory = peak_rss_mb([sys.executable, "-c", _WARM], cache)
        rows = [
            ("cold `ask`, a whole process", f"{ours:.2f} s", f"{tutorial:.2f} s", f"{tutorial / ours:.1f} times faster than the tutorial"),
            ("warm `ask`", f"{warm * 1000:.1f} ms", f"embedding alone {embedding * 1000:.1f} ms", f"{warm / embedding:.2f} times the embedding"),
            ("index with nothing changed", f"{rebuild:.2f} s", f"first build {first_build:.1f} s", f"{rebuild / first_build:.1%} of the first build"),
            ("index with one provision changed", f"{changed:.2f} s", f"first build {first_build:.1f} s", f"{changed / first_build:.1%} of the first build"),
            ("first build", f"{first_build:.1f} s", f"{tutorial_build:.1f} s", f"{tutorial_build / first_build:.2f} times as fast as the tutorial"),
            *start.rows(cache),
            ("peak memory, warm process", f"{memory:.0f} MB", "", ""),
        ]  # fmt: skip
        print(f"{platform.machine()}, {os.cpu_count()} cores, Python {platform.python_version()}\n")
        print("| what | assistant | compared with | ratio |\n|---|---|---|---|")
        for row in rows:
            print("| " + " | ".join(row) + " |")
    finally:
        shutil.rmtree(folder, ignore_errors=True)


def one_changed(settings: Settings, folder: Path) -> float:
    """Seconds of a build after one sentence of one provision was changed."""
    corpus = folder / "corpus"
    shutil.copytree(settings.corpus, corpus)
    path = corpus / "sources" / "owasp-aisvs.md"
    text = path.read_text("utf-8")
    path.write_text(text.replace("\n\nDo:\n- ", "\n\nDo:\n- First of all: ", 1), encoding="utf-8")
    os.environ["SAFETY_ASSISTANT_CORPUS"] = str(corpus)
    try:
        return seconds(lambda: run([*_CLI, "index", "build"], settings.cache))
    finally:
        del os.environ["SAFETY_ASSISTANT_CORPUS"]
        run([*_CLI, "index", "build"], settings.cache)


def warm_ask(settings: Settings) -> tuple[float, float]:
    """Median seconds of asking and of embedding a question, in a process that has begun."""
    recipe = read_recipe(settings.recipe).model
    with Assistant.open(settings) as assistant:
        embedder = open_embedder(settings.embedding_model, recipe, settings.cache)
        for question in QUESTIONS:
            assistant.ask(question)
        pairs = [
            in_turns(lambda: assistant.ask(q), lambda: embedder.embed([q]), 15)  # noqa: B023
            for q in QUESTIONS
        ]
    return statistics.median(p[0] for p in pairs), statistics.median(p[1] for p in pairs)


if __name__ == "__main__":
    main()
