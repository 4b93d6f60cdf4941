"""The command line, run as its users run it: real processes, the real model, a small corpus."""

from __future__ import annotations

import json
import os
import pty
import re
import shutil
import subprocess
import sys
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import pytest

from assistant import Assistant, Settings, __version__
from assistant.embedding import prepare_embedder
from assistant.recipe import read_recipe
from assistant.settings import BUNDLED_MODEL
from tests.conftest import ROOT, SMALL

PROGRAM = [sys.executable, "-m", "assistant.interfaces.cli"]
QUESTION = "Is it safe to load a pickle checkpoint from the internet?"
ANSWER_KEYS = [
    "question",
    "read_as",
    "outcome",
    "reason",
    "nearest",
    "phases",
    "statements",
    "citations",
    "withheld",
    "corpus_version",
    "timings_ms",
    "noticed",
    "model",
    "note",
    "read_by",
]
CITATION_KEYS = [
    "number",
    "source_id",
    "title",
    "publisher",
    "kind",
    "binding",
    "jurisdiction",
    "version",
    "date",
    "in_force_from",
    "status",
    "locator",
    "heading",
    "url",
    "page",
    "quote",
    "start",
    "stop",
    "document_sha256",
    "page_label",
]


def with_model(cache: Path) -> Path:
    """Give a cache the exported model of the checkout's own cache, exporting it there if need be."""
    own = Settings()
    prepare_embedder(BUNDLED_MODEL, read_recipe(own.recipe).model, own.cache)
    cache.mkdir(parents=True, exist_ok=True)
    (cache / "models").symlink_to(own.cache / "models")
    return cache


def environment(corpus: Path, cache: Path, **more: str) -> dict[str, str]:
    """This process' environment, less what a user may have set, with a corpus and a cache."""
    dropped = ("SAFETY_ASSISTANT_", "NO_COLOR", "FORCE_COLOR", "COLUMNS", "PYTHONUNBUFFERED")
    kept = {key: value for key, value in os.environ.items() if not key.startswith(dropped)}
    return {
        **kept,
        "SAFETY_ASSISTANT_SETTINGS": str(cache / "no-settings.toml"),
        "SAFETY_ASSISTANT_CORPUS": str(corpus),
        "SAFETY_ASSISTANT_CACHE": str(cache),
        "SAFETY_ASSISTANT_LIBRARY": str(cache / "library"),
        **more,
    }


def run(
    env: Mapping[str, str], *arguments: str, given: bytes = b""
) -> subprocess.CompletedProcess[str]:
    """The program's exit status, output and errors; ``given`` is its standard input."""
    done = subprocess.run(
        [*PROGRAM, *arguments], cwd=ROOT, env=env, input=given, capture_output=True, timeout=120
    )
    return subprocess.CompletedProcess(
        done.args, done.returncode, done.stdout.decode(), done.stderr.decode()
    )


@pytest.fixture(scope="module")
def env(tmp_path_factory: pytest.TempPathFactory) -> dict[str, str]:
    """An environment in which the small corpus is indexed with the real model."""
    found = environment(SMALL, with_model(tmp_path_factory.mktemp("cache")))
    built = run(found, "index", "build")
    assert built.returncode == 0, built.stderr
    assert built.stdout.startswith("3 sources, 8 provisions: 38 texts embedded, 0 reused")
    return found


def settings(env: Mapping[str, str]) -> Settings:
    return Settings(
        corpus=Path(env["SAFETY_ASSISTANT_CORPUS"]), cache=Path(env["SAFETY_ASSISTANT_CACHE"])
    )


def keys(entries: list[dict[str, Any]]) -> set[tuple[str, ...]]:
    return {tuple(entry) for entry in entries}


# Answers


def test_ask_about_a_file_names_what_is_seen_with_its_line(
    env: dict[str, str], tmp_path: Path
) -> None:
    code, manifest = tmp_path / "load.py", tmp_path / "requirements.txt"
    code.write_text("import pickle\n\nmodel = pickle.load(f)\n", encoding="utf-8")
    manifest.write_text("numpy==2.3.1\njoblib==1.5.1\n", encoding="utf-8")
    given = ("ask", "is this safe?", "--file", f"{code}:2-3", "--manifest", str(manifest))
    done = run(env, *given)
    assert (done.returncode, done.stderr) == (0, "")
    assert done.stdout.startswith(
        "Seen in your code: a pickle is loaded (line 3)\n"
        "Seen in your manifest: a pickle is loaded (line 2)\n\n"
    )
    noticed = json.loads(run(env, *given, "--json").stdout)["noticed"]
    assert [(entry["place"], entry["line"]) for entry in noticed] == [
        ("selection", 2),
        ("manifest", 2),
    ]
    assert "Seen" not in run(env, "ask", "is this safe?", "--file", f"{code}:1-2").stdout


@pytest.mark.parametrize(
    ("name", "content", "says"),
    [
        ("absent.py", None, "absent.py cannot be read: No such file or directory."),
        ("image.py", b"\xff\xfe secret", "image.py cannot be read: it is not text in UTF-8."),
        ("long.py", b"x = 1\n" * 5000, "The selection of the code has 30,000 characters; at most"),
        ("a.py:3-2", b"", "There are no lines 3-2."),
    ],
)
def test_a_file_that_cannot_be_taken_is_misuse(
    env: dict[str, str], tmp_path: Path, name: str, content: bytes | None, says: str
) -> None:
    if content is not None:
        (tmp_path / name).write_bytes(content)
    done = run(env, "ask", "is this safe?", "--file", str(tmp_path / name))
    assert done.returncode == 2 and says in done.stderr
    assert "secret" not in done.stderr and "Traceback" not in done.stderr


def test_ask_piped_is_plain_text(env: dict[str, str]) -> None:
    done = run(env, "ask", QUESTION)
    assert (done.returncode, done.stderr) == (0, "")
    assert "\x1b" not in done.stdout
    lines = done.stdout.splitlines()
    assert lines[0] == (
        "A developer should not unpickle a checkpoint that a stranger published, "
        "because unpickling runs code. [1]"
    )
    assert "Do" in lines and "Sources" in lines
    assert any(
        re.match(r"(\[\d+\])+ Example Foundation · Example guideline 1\.0", x) for x in lines
    )
    assert all(line == line.rstrip() for line in lines), "no padding to the width of a terminal"


def on_terminal(env: dict[str, str], *arguments: str) -> str:
    """What the program writes to a terminal."""
    ours, theirs = pty.openpty()
    with subprocess.Popen(
        [*PROGRAM, *arguments],
        cwd=ROOT,
        env={**env, "TERM": "xterm-256color"},
        stdin=subprocess.DEVNULL,
        stdout=theirs,
        stderr=theirs,
    ) as process:
        os.close(theirs)
        parts = []
        while True:
            try:
                parts.append(os.read(ours, 65536))
            except OSError:
                break
            if not parts[-1]:
                break
        os.close(ours)
        assert process.wait(60) == 0
    return b"".join(parts).decode()


def colours(text: str) -> set[str]:
    """The colours that a text's escape codes set; bold and dim are none."""
    codes = {code for found in re.findall(r"\x1b\[([\d;]*)m", text) for code in found.split(";")}
    return {code for code in codes if code and (30 <= int(code) <= 49 or int(code) >= 90)}


def test_no_color_is_obeyed_on_a_terminal(env: dict[str, str]) -> None:
    assert colours(on_terminal(env, "ask", QUESTION))
    assert not colours(on_terminal({**env, "NO_COLOR": "1"}, "ask", QUESTION))


def test_ask_json_is_the_answer_of_the_api(env: dict[str, str]) -> None:
    options = ("--phase", "model-selection", "--kind", "guideline", "--kind", "law")
    done = run(env, "ask", QUESTION, "--json", *options, "--jurisdiction", "international")
    assert (done.returncode, done.stderr) == (0, "")
    printed = json.loads(done.stdout)
    with Assistant.open(settings(env), build=False) as assistant:
        answer = assistant.ask(
            QUESTION,
            phase="model-selection",
            kind=["guideline", "law"],
            jurisdiction="international",
        )
    expected = json.loads(json.dumps(answer.to_dict()))
    assert printed.pop("timings_ms").keys() == expected.pop("timings_ms").keys()
    assert printed == expected
    assert {citation["jurisdiction"] for citation in printed["citations"]} == {"international"}


def test_answer_json_has_the_keys_of_the_contract(env: dict[str, str]) -> None:
    answer = json.loads(run(env, "ask", QUESTION, "--json").stdout)
    assert answer["outcome"] == "answered" and answer["reason"] == "" and answer["nearest"] == []
    assert set(answer) == set(ANSWER_KEYS)
    assert keys(answer["statements"]) == {("text", "role", "citations")}
    assert {frozenset(citation) for citation in answer["citations"]} == {frozenset(CITATION_KEYS)}
    assert len(CITATION_KEYS) == len(set(CITATION_KEYS)) == 20
    numbers = [citation["number"] for citation in answer["citations"]]
    assert numbers == list(range(1, len(numbers) + 1))
    assert {n for statement in answer["statements"] for n in statement["citations"]} == set(numbers)
    assert all(statement["citations"] for statement in answer["statements"])


def test_abstention_is_no_failure(env: dict[str, str]) -> None:
    done = run(env, "ask", "What is the best pizza in Naples?", "--json")
    assert (done.returncode, done.stderr) == (0, "")
    answer = json.loads(done.stdout)
    assert set(answer) == set(ANSWER_KEYS)
    assert (answer["outcome"], answer["statements"], answer["citations"]) == ("abstained", [], [])
    assert answer["reason"]
    assert keys(answer["nearest"]) == {("question", "source_id", "locator", "title")}
    plain = run(env, "ask", "What is the best pizza in Naples?")
    assert plain.returncode == 0
    assert plain.stdout.startswith(answer["reason"])


def test_unknown_identifier_abstains_and_says_what_exists(env: dict[str, str]) -> None:
    answer = json.loads(run(env, "ask", "What does EX09 say?", "--json").stdout)
    assert answer["outcome"] == "abstained"
    assert "EX01 to EX04" in answer["reason"]


# Talking


def test_a_talk_answers_each_line_after_those_before(env: dict[str, str]) -> None:
    lines = [
        "Is it safe to load a pickle checkpoint?",
        "what does the law say?",
        "explain number 1",
    ]
    given = "\n".join(lines).encode()
    done = run(env, "talk", "--json", given=given)
    assert (done.returncode, done.stderr) == (0, "")
    answers = [json.loads(line) for line in done.stdout.splitlines()]
    assert [answer["question"] for answer in answers] == lines
    assert [answer["read_as"] for answer in answers] == [
        lines[0],
        f"According to the law: {lines[0]}",
        "What does example-act#Art. 2 say?",
    ]
    assert {citation["kind"] for citation in answers[1]["citations"]} == {"law"}
    plain = run(env, "talk", given=given)
    assert plain.stdout.count("Read as: ") == 3
    assert f"Read as: According to the law: {lines[0]} · model-selection · corpus" in plain.stdout


def test_a_talk_ends_at_an_empty_line_and_outlives_a_bad_one(env: dict[str, str]) -> None:
    given = b"???\nWhat does EX01 say? \xff\n\nWhat does EX02 say?\n"
    done = run(env, "talk", "--json", given=given)
    assert done.returncode == 0
    assert [json.loads(line)["question"] for line in done.stdout.splitlines()] == [
        "What does EX01 say? \ufffd"
    ]
    assert done.stderr == "The question is empty. Ask something, such as: May I load a .bin checkpoint?\n"  # fmt: skip


# Looking things up


def test_search_json(env: dict[str, str]) -> None:
    done = run(env, "search", "scan a checkpoint before loading", "--json", "-k", "3")
    assert (done.returncode, done.stderr) == (0, "")
    hits = json.loads(done.stdout)
    assert keys(hits) == {("id", "score", "signals", "locator", "title", "source_id", "url")}
    assert len(hits) == 3
    assert hits[0]["id"] == "example-act#Art. 2"
    scores = [hit["score"] for hit in hits]
    assert scores == sorted(scores, reverse=True)
    plain = run(env, "search", "scan a checkpoint before loading", "-k", "3").stdout.splitlines()
    assert len(plain) == 3 and "example-act Art. 2" in plain[0]


def test_checklist(env: dict[str, str]) -> None:
    done = run(env, "checklist", "model-selection")
    assert done.returncode == 0
    assert done.stdout.startswith("Checklist: model-selection\n\n")
    assert "before: preparation · after: adaptation, integration, " in done.stdout
    found = json.loads(run(env, "checklist", "model-selection", "--json").stdout)
    assert found["items"] and all(item["text"] in done.stdout for item in found["items"])
    assert f"[{found['citations'][-1]['number']}] " in done.stdout
    none = run(env, "checklist", "model-selection", "--kind", "study")
    assert "The sources hold nothing for this choice." in none.stdout


def test_show(env: dict[str, str]) -> None:
    done = run(env, "show", "EX01")
    assert (done.returncode, done.stderr) == (0, "")
    assert "\x1b" not in done.stdout
    for part in ("Do not unpickle", "Why: A pickle file can call", "close: example-act#Art. 2"):
        assert part in done.stdout
    (entry,) = json.loads(run(env, "show", "example-act#Art. 2", "--json").stdout)
    assert entry["id"] == "example-act#Art. 2"
    assert entry["text"] == "A deployer must scan a downloaded checkpoint file before loading it."
    assert entry["in_force_from"] == "2027-01-01"
    assert entry["source"]["publisher"] == "Example Parliament"
    assert entry["related"][0]["object"] == "example-guideline#EX01"


@pytest.mark.parametrize(
    ("locator", "says"), [("nothing", "safety-assistant sources"), ("EX09", "EX01 to EX04")]
)
def test_show_unknown_is_misuse(env: dict[str, str], locator: str, says: str) -> None:
    done = run(env, "show", locator)
    assert (done.returncode, done.stdout) == (2, "")
    assert locator in done.stderr and says in done.stderr


def test_sources_json(env: dict[str, str]) -> None:
    entries = json.loads(run(env, "sources", "--json").stdout)
    fields = "id title publisher kind version url licence provisions phases"
    assert keys(entries) == {tuple(fields.split())}
    assert {entry["id"]: entry["provisions"] for entry in entries} == {
        "example-act": 3,
        "example-guideline": 4,
        "example-incidents": 1,
    }
    assert entries[0]["phases"] == ["model-selection", "deployment"]
    plain = run(env, "sources").stdout
    assert plain.splitlines()[-1].split() == ["8", "provisions", "in", "3", "sources"]


# Misuse and failure


@pytest.mark.parametrize(
    ("arguments", "says"),
    [
        (["ask", ""], "empty"),
        (["ask", "?!…"], "empty"),
        (["ask", "a" * 2001], "2,001"),
        (["ask", QUESTION, "--phase", "nowhere"], "model-selection"),
        (["ask", QUESTION, "--colour"], "--colour"),
        (["ask"], "uestion"),
        (["search", "pickle", "-k", "0"], "at least 1"),
        (["search", "pickle", "-k", "many"], "integer"),
        (["index", "demolish"], "demolish"),
    ],
    ids=lambda value: " ".join(value)[:40] if isinstance(value, list) else value,
)
def test_misuse_exits_2(env: dict[str, str], arguments: list[str], says: str) -> None:
    done = run(env, *arguments)
    assert (done.returncode, done.stdout) == (2, "")
    assert says in done.stderr
    assert "Traceback" not in done.stderr


def failed(done: subprocess.CompletedProcess[str]) -> str:
    """The message of a run that failed: exit status 1, a line on stderr, nothing on stdout."""
    assert (done.returncode, done.stdout) == (1, "")
    (message,) = done.stderr.splitlines()
    return message


def test_broken_corpus_file_is_named_with_its_line(env: dict[str, str], tmp_path: Path) -> None:
    corpus = tmp_path / "corpus"
    shutil.copytree(SMALL, corpus)
    path = corpus / "sources" / "example-act.md"
    path.write_text(path.read_text("utf-8").replace("- phases: deployment", "- phases: deploying"))
    for command in (["ask", QUESTION], ["ask", QUESTION, "--json"], ["index", "build"]):
        message = failed(run({**env, "SAFETY_ASSISTANT_CORPUS": str(corpus)}, *command))
        assert message.startswith(f"{path}:18: 'deploying' is not one of the phases")


def test_bad_setting_is_named(env: dict[str, str]) -> None:
    message = failed(run({**env, "SAFETY_ASSISTANT_LOCK_TIMEOUT_S": "soon"}, "ask", QUESTION))
    assert "lock_timeout_s" in message and "soon" in message


def test_absent_corpus_is_named(env: dict[str, str], tmp_path: Path) -> None:
    message = failed(run({**env, "SAFETY_ASSISTANT_CORPUS": str(tmp_path)}, "sources"))
    assert str(tmp_path) in message and "setting 'corpus'" in message


def test_reader_that_goes_away_gets_no_traceback(env: dict[str, str]) -> None:
    """As in ``safety-assistant sources | head -1``, with the reader gone before the first line."""
    for arguments in (["sources"], ["ask", QUESTION], ["ask", QUESTION, "--json"], ["--help"]):
        reading, writing = os.pipe()
        os.close(reading)
        done = subprocess.run(
            [*PROGRAM, *arguments],
            cwd=ROOT,
            env=env,
            stdout=writing,
            stderr=subprocess.PIPE,
            text=True,
            timeout=60,
        )
        os.close(writing)
        assert (done.returncode, done.stderr) == (1, ""), arguments


def test_head_takes_a_line(env: dict[str, str]) -> None:
    command = f"{sys.executable} -m assistant.interfaces.cli sources | head -1"
    done = subprocess.run(
        command, shell=True, cwd=ROOT, env=env, capture_output=True, text=True, timeout=60
    )
    assert done.stderr == ""
    assert len(done.stdout.splitlines()) == 1


@pytest.mark.skipif(not Path("/dev/full").exists(), reason="needs /dev/full")
def test_output_that_cannot_be_written_is_a_failure_in_a_sentence(env: dict[str, str]) -> None:
    with Path("/dev/full").open("w") as full:
        done = subprocess.run(
            [*PROGRAM, "ask", QUESTION],
            cwd=ROOT,
            env=env,
            stdout=full,
            stderr=subprocess.PIPE,
            text=True,
            timeout=60,
        )
    assert done.returncode == 1
    assert "Traceback" not in done.stderr
    assert len(done.stderr.splitlines()) == 1


# The index


def test_index_commands_without_an_index(env: dict[str, str], tmp_path: Path) -> None:
    empty = {**env, "SAFETY_ASSISTANT_CACHE": str(with_model(tmp_path / "empty"))}
    for command in ("status", "verify"):
        message = failed(run(empty, "index", command))
        assert "There is no index" in message and "`safety-assistant index build`" in message
    assert {path.name for path in (tmp_path / "empty").iterdir()} == {"models"}


def test_index_build_status_verify(env: dict[str, str]) -> None:
    done = run(env, "index", "build")
    assert done.returncode == 0
    cache = env["SAFETY_ASSISTANT_CACHE"]
    assert done.stdout == f"3 sources, 8 provisions: up to date ({cache})\n"
    status = run(env, "index", "status")
    assert (status.returncode, status.stderr) == (0, "")
    assert "provisions: 8" in status.stdout and "usable: yes" in status.stdout
    as_json = json.loads(run(env, "index", "status", "--json").stdout)
    assert (as_json["sources"], as_json["provisions"]) == (3, 8)
    assert as_json["model"].startswith("sentence-transformers/all-MiniLM-L6-v2:")
    verified = run(env, "index", "verify")
    assert (verified.returncode, verified.stderr) == (0, "")
    assert verified.stdout.startswith("Sound: 8 provisions")


def test_damaged_index(env: dict[str, str], tmp_path: Path) -> None:
    """Status and verify report it; a question has it built anew and is answered."""
    cache = tmp_path / "cache"
    shutil.copytree(env["SAFETY_ASSISTANT_CACHE"], cache, symlinks=True)
    for path in cache.glob("generation-*/chroma/chroma.sqlite3"):
        path.write_bytes(b"")
    damaged = {**env, "SAFETY_ASSISTANT_CACHE": str(cache)}
    for command in ("status", "verify"):
        message = failed(run(damaged, "index", command))
        assert "`safety-assistant index build --fresh`" in message
    done = run(damaged, "ask", QUESTION, "--json")
    assert json.loads(done.stdout)["outcome"] == "answered"
    assert run(damaged, "index", "verify").returncode == 0


def test_first_question_builds_the_index_and_shows_progress_on_stderr(
    env: dict[str, str], tmp_path: Path
) -> None:
    new = {**env, "SAFETY_ASSISTANT_CACHE": str(with_model(tmp_path / "cache"))}
    done = run(new, "ask", QUESTION, "--json")
    assert done.returncode == 0
    assert json.loads(done.stdout)["outcome"] == "answered"
    assert "Embedding" in done.stderr and "\x1b" not in done.stderr


def test_version_and_help(env: dict[str, str]) -> None:
    assert run(env, "--version").stdout == f"{__version__}\n"
    shown = run(env, "--help")
    assert shown.returncode == 0
    for command in ("ask", "search", "show", "sources", "index"):
        assert re.search(rf"^\W*{command} ", shown.stdout, re.MULTILINE)
