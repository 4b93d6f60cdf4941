"""Nothing leaves the machine: what is imported, and which sockets are opened, while asking."""

from __future__ import annotations

import json
import subprocess
import sys
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import pytest

from tests.conftest import ROOT, SMALL
from tests.test_cli import environment, run, with_model

HEAVY = {
    "chromadb",
    "gradio",
    "langchain",
    "langchain_core",
    "mcp",
    "onnxruntime",
    "rich",
    "sentence_transformers",
    "tokenizers",
    "torch",
    "transformers",
    "typer",
}
# Audit hooks see every socket call that Python makes; the open files also show what native code
# left open. ``control`` and ``shown`` prove that a
# connection and an open socket are seen where there are some.
WATCHED = """
import json, os, socket, sys

seen = []
sys.addaudithook(lambda event, _: event.startswith("socket.") and seen.append(event))

def sockets():
    # Open sockets that can reach another machine: not the pairs by which threads wake each other.
    found = []
    for number in map(int, os.listdir("/proc/self/fd")):
        try:
            with socket.socket(fileno=os.dup(number)) as opened:
                if opened.family != socket.AF_UNIX:
                    found.append(str(opened))
        except OSError:
            continue
    return found

from assistant import Assistant
with Assistant.open(build=len(sys.argv) > 1) as assistant:
    outcome = assistant.ask("Is it safe to load a pickle checkpoint from the internet?").outcome
    hits = len(assistant.search("scan a checkpoint"))
    asked = list(seen)
    left = sockets() if os.path.isdir("/proc/self/fd") else []
seen.clear()
with socket.socket() as probe:
    shown = len(sockets())
    probe.settimeout(1)
    probe.connect_ex(("127.0.0.1", 9))
print(json.dumps({
    "outcome": outcome, "hits": hits, "asked": asked, "left": left,
    "control": seen, "shown": shown, "modules": sorted({name.partition(".")[0] for name in sys.modules}),
}))
"""


def watched(env: Mapping[str, str], *arguments: str) -> dict[str, Any]:
    """What a process saw that asked a question; with an argument, it may build the index first."""
    done = subprocess.run(
        [sys.executable, "-c", WATCHED, *arguments],
        cwd=ROOT,
        env=dict(env),
        capture_output=True,
        text=True,
        timeout=120,
    )
    assert done.returncode == 0, done.stderr[-1000:]
    seen: dict[str, Any] = json.loads(done.stdout)
    assert "socket.connect" in seen["control"], "the hook sees connections"
    assert seen["shown"] == 1 or not Path("/proc/self/fd").is_dir(), "and open sockets are seen"
    assert seen["outcome"] == "answered" and seen["hits"]
    return seen


@pytest.fixture(scope="module")
def env(tmp_path_factory: pytest.TempPathFactory) -> dict[str, str]:
    """The small corpus, indexed with the exported model, and telemetry left at its defaults."""
    found = environment(SMALL, with_model(tmp_path_factory.mktemp("cache")))
    switches = ("ANONYMIZED_TELEMETRY", "HF_HUB_OFFLINE", "TRANSFORMERS_OFFLINE", "DO_NOT_TRACK")
    found = {key: value for key, value in found.items() if key not in switches}
    built = run(found, "index", "build")
    assert built.returncode == 0, built.stderr
    return found


def test_asking_opens_no_socket_and_loads_no_torch(env: dict[str, str]) -> None:
    seen = watched(env)
    assert seen["asked"] == []
    assert seen["left"] == []
    loaded = set(seen["modules"])
    assert {"chromadb", "onnxruntime"} <= loaded
    assert not loaded & {"torch", "sentence_transformers", "transformers", "gradio", "langchain"}


def test_first_use_exports_the_model_and_opens_no_socket(
    env: dict[str, str], tmp_path: Path
) -> None:
    """Even sentence-transformers, which could download, takes the bundled weights; torch exports."""
    seen = watched({**env, "SAFETY_ASSISTANT_CACHE": str(tmp_path / "new")}, "build")
    assert seen["asked"] == []
    assert seen["left"] == []
    assert "torch" in seen["modules"]


def test_asking_works_without_a_network(env: dict[str, str]) -> None:
    """In a network namespace that has no interface up, not even loopback."""
    command = ["unshare", "-r", "-n"]
    try:
        permitted = subprocess.run([*command, "true"], capture_output=True).returncode == 0
    except OSError:
        permitted = False
    if not permitted:
        pytest.skip("a network namespace of one's own is not permitted")
    done = subprocess.run(
        [*command, sys.executable, "-m", "assistant.interfaces.cli", "ask", "EX01", "--json"],
        cwd=ROOT,
        env=env,
        capture_output=True,
        text=True,
        timeout=60,
    )
    assert (done.returncode, done.stderr) == (0, "")
    assert json.loads(done.stdout)["outcome"] == "answered"


def modules_after(statement: str) -> set[str]:
    """Top-level modules that a statement loads in a new process."""
    code = f"{statement}\nimport sys\nprint(*{{name.partition('.')[0] for name in sys.modules}})"
    done = subprocess.run(
        [sys.executable, "-c", code], cwd=ROOT, capture_output=True, text=True, check=True
    )
    return set(done.stdout.split())


def test_importing_the_package_loads_nothing_heavy() -> None:
    loaded = modules_after("import assistant")
    assert {"assistant", "numpy"} <= loaded
    assert not loaded & HEAVY
    assert not {name for name in loaded if name.startswith("langchain")}


def test_reading_the_corpus_loads_nothing_heavy() -> None:
    statement = (
        "from assistant import paths; from assistant.documents import load_corpus; "
        "assert load_corpus(paths.corpus_folder()).provisions"
    )
    assert not modules_after(statement) & HEAVY


def test_chroma_sends_no_telemetry(env: dict[str, str]) -> None:
    """The store is opened with telemetry off, and without it switched off in the environment."""
    code = (
        "from assistant import Assistant\n"
        "with Assistant.open(build=False):\n"
        "    from chromadb.api.shared_system_client import SharedSystemClient\n"
        "    systems = list(SharedSystemClient._identifier_to_system.values())\n"
        "    print([system.settings.anonymized_telemetry for system in systems])\n"
    )
    done = subprocess.run(
        [sys.executable, "-c", code], cwd=ROOT, env=env, capture_output=True, text=True, timeout=60
    )
    assert (done.returncode, done.stdout) == (0, "[False]\n"), done.stderr
