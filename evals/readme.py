"""What is generated of README.md and docs, so that it stays true: ``python -m evals readme``."""

from __future__ import annotations

import json
import os
import re
import subprocess
import sys
from collections import Counter
from pathlib import Path
from typing import Any

from assistant import Assistant, json_schema, load_settings
from assistant.schema import VERSIONS
from evals import NO_LIBRARY, attacks, checker, faults, follow_ups, snippets
from evals.report import markdown

ROOT = Path(__file__).resolve().parent.parent
RESULTS = ROOT / "evals" / "results"
QUESTION = "May I load a .bin checkpoint I found on a model hub?"
UNCOVERED = "What does LLM37 say?"


def blocks() -> dict[str, str]:
    """The text of each generated part, by the name in its markers."""
    with Assistant.open(load_settings(library=NO_LIBRARY)) as assistant:
        sources, provisions = assistant.sources(), assistant.corpus.provisions
        kinds = Counter(
            assistant.corpus.by_source[entry.source_id].source.kind for entry in provisions
        )
        phases = Counter(phase for entry in provisions for phase in entry.phases)
        links = len(assistant.corpus.links)
    counts = (
        f"{len(sources)} sources, {len(provisions):,} provisions, {links:,} links of the crosswalk.\n\n"
        f"By kind: {_list(dict(kinds.most_common()))}.\n\n"
        f"By phase (a provision has one to three): {_list(dict(phases))}."
    )
    return {
        "answer": _asked(QUESTION),
        "abstention": _asked(UNCOVERED),
        "counts": counts,
        "figures": _figures("held_out", "fresh"),
        "model": _figures("fresh_model"),
        "follow_ups": _follow_ups(),
        "code": _code(),
        "checker": checker.markdown(_kept("checker")),
        "faults": faults.markdown(_kept("faults")),
        "attacks": attacks.markdown(_kept("attacks")),
        "peers": (RESULTS / "peers.md").read_text("utf-8").strip(),
        "bench": (RESULTS / "bench.md").read_text("utf-8").strip(),
    }


def _kept(name: str) -> dict[str, Any]:
    """The committed figures of a name."""
    found: dict[str, Any] = json.loads((RESULTS / f"{name}.json").read_text("utf-8"))
    return found


def _list(counts: dict[str, int]) -> str:
    return ", ".join(f"{name} {count:,}" for name, count in counts.items())


def _asked(question: str) -> str:
    """What the command line prints for a question, as in a pipe."""
    command = [sys.executable, "-m", "assistant.interfaces.cli", "ask", question]
    environment = os.environ | {"SAFETY_ASSISTANT_LIBRARY": str(NO_LIBRARY)}
    output = subprocess.run(
        command, check=True, capture_output=True, text=True, cwd=ROOT, env=environment
    ).stdout
    return f'```text\n$ make ask Q="{question}"\n{output.strip()}\n```'


def _figures(*names: str) -> str:
    """The committed figures of question sets, one table each."""
    parts = []
    for name in names:
        result = json.loads((RESULTS / f"{name}.json").read_text("utf-8"))
        heading = (
            f"**{result['title']}** ({result['questions']} questions, corpus {result['corpus']})"
        )
        parts.append(f"{heading}\n\n{markdown(result['figures'])}")
    return "\n".join(parts).strip()


def _follow_ups() -> str:
    """The committed figures of follow-up questions, as one table."""
    result = json.loads((RESULTS / "follow_ups.json").read_text("utf-8"))
    heading = (
        f"**Held-out follow-ups** ({result['questions']} questions, corpus {result['corpus']})"
    )
    return f"{heading}\n\n{follow_ups.markdown(result['figures'])}"


def _code() -> str:
    """The committed figures of questions that carry code, the held-out ones."""
    result = json.loads((RESULTS / "code.json").read_text("utf-8"))["held_out"]
    heading = f"**Held-out snippets** ({result['snippets']} snippets, corpus {result['corpus']})"
    return f"{heading}\n\n{snippets.markdown(result['figures'])}"


def render(text: str, parts: dict[str, str]) -> str:
    """Put each part between its markers; raises KeyError for a marker without a part."""

    def fill(match: re.Match[str]) -> str:
        name = match[1]
        return f"<!-- {name} -->\n{parts[name]}\n<!-- /{name} -->"

    return re.sub(r"<!-- (\w+) -->\n.*?<!-- /\1 -->", fill, text, flags=re.DOTALL)


def schemas() -> dict[str, str]:
    """The names of the current files in docs/schema, and their text."""
    return {
        f"{name}-{number}.json": json.dumps(json_schema(name), ensure_ascii=False, indent=2) + "\n"
        for name, number in VERSIONS.items()
    }


def update() -> None:
    """Rewrite README.md, docs/coverage.svg and the current schemas in docs/schema."""
    path = ROOT / "README.md"
    path.write_text(render(path.read_text("utf-8"), blocks()), encoding="utf-8")
    command = [
        sys.executable,
        "-m",
        "assistant.interfaces.cli",
        "coverage",
        "--svg",
        "docs/coverage.svg",
    ]
    for name, schema in schemas().items():
        (ROOT / "docs" / "schema" / name).write_text(schema, encoding="utf-8")
    subprocess.run(command, check=True, capture_output=True, cwd=ROOT)
