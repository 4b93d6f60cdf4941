"""What a user, an author or a machine can get wrong: each gets an error that says what to do."""

from __future__ import annotations

import os
import shutil
import signal
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest

from assistant import (
    Assistant,
    AssistantError,
    CorpusError,
    IndexUnwritable,
    ModelError,
    QuestionError,
    Settings,
    SettingsError,
    load_settings,
)
from assistant.documents import Corpus, load_corpus
from assistant.index import build_index, open_index, verify_index
from assistant.ranking import load_ranking
from assistant.retrieval import Retriever
from tests.conftest import ROOT, SMALL, HashEmbedder
from tests.test_cli import PROGRAM, environment, run, with_model


@pytest.fixture(scope="module")
def asker(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Assistant]:
    """The small corpus, with the hash embedder."""
    settings = Settings(corpus=SMALL, cache=tmp_path_factory.mktemp("cache"))
    corpus = load_corpus(SMALL)
    build_index(corpus, settings, embedder=HashEmbedder())
    index = open_index(corpus, settings, HashEmbedder())
    ranking = load_ranking(settings.recipe)
    with Assistant(settings, corpus, index, Retriever(index, HashEmbedder(), ranking)) as found:
        yield found


# Questions


@pytest.mark.parametrize(
    "text", ["", " ", "\n\t\r", "?!… – ,.", "\u200b\ufeff\x00", "🙂🙂", "\udcff"]
)
def test_a_question_without_letters_is_refused(asker: Assistant, text: str) -> None:
    for ask in (asker.ask, asker.search):
        with pytest.raises(QuestionError, match="empty"):
            ask(text)


def test_a_question_of_2000_characters_is_taken_and_a_longer_one_refused(asker: Assistant) -> None:
    assert asker.ask("pickle " * 285 + "model").outcome in ("answered", "abstained")
    for length, printed in ((2001, "2,001"), (1_000_000, "1,000,000")):
        for ask in (asker.ask, asker.search):
            with pytest.raises(QuestionError, match=f"{printed}.*2,000.*Shorten"):
                ask("a" * length)


@pytest.mark.parametrize(
    "text",
    [
        "What does\x00 EX01\x1b\x07say?",
        "What does\u2028EX01\r\nsay?",
        "What\u200b does \u202eEX01\u202c say?\ufeff",
        "What does ＥＸ０１ say?",
        "What does\udcff EX01 say?",
    ],
    ids=ascii,
)
def test_control_and_invisible_characters_are_cleaned(asker: Assistant, text: str) -> None:
    answer = asker.ask(text)
    assert answer.question == "What does EX01 say?"
    assert answer.outcome == "answered"
    assert answer.citations[0].locator == "EX01"


@pytest.mark.parametrize(
    "text",
    [
        " ".join(f"word{n}" for n in range(220)),
        " ".join(map(chr, range(0x100, 0x4A0))),
        'NEAR("a" b) OR * ^ - : title:pickle',
        "'; drop table passages; --",
        "e\u0301" * 900,
        "²",
        "ﷺ" * 1900,
        "model " * 333,
    ],
    ids=lambda text: ascii(text[:20]),
)
def test_odd_questions_are_answered_or_abstained(asker: Assistant, text: str) -> None:
    answer = asker.ask(text)
    assert answer.outcome in ("answered", "abstained")
    assert bool(answer.statements) == (answer.outcome == "answered")


@pytest.mark.parametrize(
    ("text", "language"),
    [
        ("Darf ich ein Modell von der Hugging-Face-Seite laden?", "German"),
        ("Wie kann ich prüfen, ob die Datei sicher ist?", "German"),
        ("Puis-je charger un modèle depuis internet ?", "French"),
        ("Quels sont les risques de pickle pour nous ?", "French"),
        ("ネットからモデルを読み込んでもいいですか", "not written in Latin letters"),
        ("Можно ли загружать модель из интернета?", "not written in Latin letters"),
    ],
)
def test_a_question_in_another_language_abstains_and_says_so(
    asker: Assistant, text: str, language: str
) -> None:
    answer = asker.ask(text)
    assert (answer.outcome, answer.statements, answer.citations) == ("abstained", (), ())
    assert language in answer.reason and "Ask it in English" in answer.reason


@pytest.mark.parametrize(
    ("filters", "says"),
    [
        ({"phase": "nowhere"}, "Unknown phase 'nowhere'. Known: preparation, model-selection"),
        ({"phase": ["deployment", "Deployment"]}, "Unknown phase 'Deployment'"),
        ({"phase": ""}, "Unknown phase ''"),
        ({"kind": "rumour"}, "Known: law, standard, guideline, study, incident, tool-doc."),
        ({"jurisdiction": "eu"}, "Unknown jurisdiction 'eu'. Known: EU, international."),
        ({"source": "nobody"}, "Known: example-act, example-guideline, example-incidents."),
        ({"phase": "x" * 5000}, f"'{'x' * 80}'"),
    ],
    ids=lambda value: str(value)[:30],
)
def test_unknown_values_list_the_known_ones(
    asker: Assistant, filters: dict[str, Any], says: str
) -> None:
    for ask in (asker.ask, asker.search):
        with pytest.raises(QuestionError) as caught:
            ask("Is it safe?", **filters)
        assert says in str(caught.value)
        assert len(str(caught.value)) < 300


@pytest.mark.parametrize("k", [0, -1])
def test_fewer_than_one_hit_cannot_be_asked_for(asker: Assistant, k: int) -> None:
    with pytest.raises(QuestionError, match=f"at least 1, not {k}"):
        asker.search("pickle", k=k)


def test_more_hits_than_there_are_gives_all(asker: Assistant) -> None:
    assert len(asker.search("pickle", k=10**9)) == len(asker.corpus.provisions)


@pytest.mark.parametrize(
    ("locator", "says"),
    [
        ("nothing", "safety-assistant sources"),
        ("", "safety-assistant sources"),
        ("EX09", "EX01 to EX04"),
        ("Art. 99", "Articles 1 and 2"),
        ("x" * 10_000, "'" + "x" * 80 + "'"),
    ],
    ids=lambda value: value[:20],
)
def test_unknown_locator(asker: Assistant, locator: str, says: str) -> None:
    with pytest.raises(QuestionError) as caught:
        asker.provision(locator)
    assert says in str(caught.value)
    assert len(str(caught.value)) < 300


def test_unknown_source(asker: Assistant) -> None:
    with pytest.raises(QuestionError, match="'nobody'"):
        asker.document("nobody")


# Corpus files

ACT, GUIDELINE = "sources/example-act.md", "sources/example-guideline.md"


@pytest.mark.parametrize(
    ("name", "old", "new", "line", "says"),
    [
        (ACT, "---\nid:", "id:", 1, "must begin with '---'"),
        (ACT, "2026-02-01\n---\n", "2026-02-01\n", 1, "not closed"),
        (ACT, "title: Example act", "title: [", 11, "not valid YAML"),
        (ACT, "title: Example act", "title: Example act\nauthor: me", 4, "key 'author'"),
        (ACT, "licence: public domain\n", "", 1, "lacks 'licence'"),
        (ACT, "kind: law", "kind: rumour", 5, "kind 'rumour' is not one of law, standard"),
        (ACT, "binding: binding", "binding: maybe", 6, "binding 'maybe' is not one of"),
        (ACT, "published: 2025-06-01", "published: June 2025", 9, "published must be YYYY"),
        (ACT, "published: 2025-06-01", "published: 2025-13-99", 2, "month must be in"),
        (ACT, "compared: 2026-02-01", "compared: '1.2.2026'", 14, "compared must be YYYY"),
        (ACT, "id: example-act", "id: other-act", 2, "id must equal the file name"),
        (ACT, "## Art. 2 | Scan before use", "## Art. 2 Scan before use", 38, "LOCATOR | Title"),
        (ACT, "## Art. 2 |", "### Art. 2 |", 38, "LOCATOR | Title"),
        (ACT, "\n## Art. 1(1)", "\nSome text.\n\n## Art. 1(1)", 17, "before the first '##'"),
        (ACT, "- phases: model-selection", "- phases: choosing", 39, "not one of the phases"),
        (ACT, "- concerns: unsafe-loading", "- concerns: danger", 40, "not one of the concerns"),
        (ACT, "- roles: deployer", "- roles: everybody", 41, "not one of the roles"),
        (ACT, "- roles: deployer", "- role: deployer", 41, "expected '- key: value'"),
        (ACT, "- roles: deployer", "- roles: deployer\n- roles: provider", 42, "given twice"),
        (ACT, "- in-force-from: 2027-01-01", "- in-force-from: soon", 43, "in-force-from must be"),
        (ACT, "- asks: Must the notice name the company that trained the model?\n", "", 30, "lacks '- asks"),
        (ACT, "trained the model?", "trained the model", 34, "ending in '?'"),
        (ACT, "in-force-from: 2027-01-01\n", "in-force-from: 2027-01-01", 44, "blank line"),
        (ACT, "A deployer must scan a downloaded checkpoint file before loading it.\n", "", 38, "must begin with a sentence"),
        (ACT, "Do:\n- Show", "- Show", 25, "under a line that reads 'Do:'"),
        (ACT, "- Show the", "Show the", 26, "every line is '- …'"),
        (ACT, "## Art. 2 |", "## Art. 1(2) |", 38, "'Art. 1(2)' is used twice"),
        (ACT, "name the maker of the model.", "name the maker of the model. ", 36, "no spaces"),
        (ACT, "The notice must name", "  The notice must name", 36, "no spaces"),
        ("crosswalk.tsv", "\tclose", " close", 1, "tab separated"),
        ("asked.tsv", "EX01\t", "EX01 ", 2, "a row is: provision, question"),
        ("asked.tsv", "EX01", "EX99", 2, "no provision has the id 'example-guideline#EX99'"),
        ("crosswalk.tsv", "close", "same", 1, "'same' is not one of exact, close"),
        ("crosswalk.tsv", "EX01", "EX99", 1, "no provision has the id 'example-guideline#EX99'"),
        ("crosswalk.tsv", "example-act#Art. 2", "example-guideline#EX01", 1, "link to itself"),
        ("identifiers.yaml", "  source: example-guideline\n", "", 1, "source"),
        ("identifiers.yaml", r"(\d{1,2})\b'", r"(\d{1,2\b'", 1, "identifier family"),
        ("identifiers.yaml", "- name: Example guideline", "name: [", 3, "not valid YAML"),
        ("identifiers.yaml", "- name: Example guideline", "- none\n- name: x", 1, "identifier family"),
        ("taxonomy.yaml", "\nphases:", "\nstages:", 1, "phases"),
        ("taxonomy.yaml", "\nkinds:", "\nkinds: [law]\nsorts:", 1, "taxonomy"),
        ("taxonomy.yaml", "    title: Preparation\n", "", 1, "title"),
        ("taxonomy.yaml", "\nphases:", "\nphases: [", 5, "not valid YAML"),
    ],
    ids=lambda value: value[:28] if isinstance(value, str) else None,
)  # fmt: skip
def test_broken_corpus_file_is_named_with_line_and_problem(
    small_folder: Path, name: str, old: str, new: str, line: int, says: str
) -> None:
    path = small_folder / name
    text = path.read_text("utf-8")
    assert old in text
    path.write_text(text.replace(old, new, 1), encoding="utf-8")
    with pytest.raises(CorpusError) as caught:
        load_corpus(small_folder)
    error = caught.value
    assert error.path == path
    assert says in error.problem
    assert str(error).startswith(f"{path}:{error.line}: ")
    if "YAML" not in says:
        assert error.line == line


@pytest.mark.parametrize(
    "name",
    [ACT, "taxonomy.yaml", "identifiers.yaml", "crosswalk.tsv", "asked.tsv", "uncovered.txt"],
)
def test_corpus_file_that_is_not_utf8(small_folder: Path, name: str) -> None:
    path = small_folder / name
    lines = path.read_bytes().splitlines(keepends=True)
    path.write_bytes(b"".join([lines[0], b"# \xff\n", *lines[1:]]))
    with pytest.raises(CorpusError, match="UTF-8") as caught:
        load_corpus(small_folder)
    assert (caught.value.path, caught.value.line) == (path, 2)


@pytest.mark.parametrize("content", ["", "---\n", "---\n---\n", "---\nid: new\n---\n", "\n"])
def test_corpus_file_with_next_to_nothing(small_folder: Path, content: str) -> None:
    path = small_folder / "sources" / "new.md"
    path.write_text(content, encoding="utf-8")
    with pytest.raises(CorpusError) as caught:
        load_corpus(small_folder)
    assert caught.value.path == path


@pytest.mark.parametrize("content", ["", "- a\n", "a: 1\n", "null\n"])
def test_taxonomy_with_next_to_nothing(small_folder: Path, content: str) -> None:
    path = small_folder / "taxonomy.yaml"
    path.write_text(content, encoding="utf-8")
    with pytest.raises(CorpusError) as caught:
        load_corpus(small_folder)
    assert caught.value.path == path


@pytest.mark.parametrize("content", ["a: b\n", "text\n", "- text\n", "- 1\n", "5\n"])
def test_identifiers_of_another_shape(small_folder: Path, content: str) -> None:
    path = small_folder / "identifiers.yaml"
    path.write_text(content, encoding="utf-8")
    with pytest.raises(CorpusError) as caught:
        load_corpus(small_folder)
    assert caught.value.path == path


def test_windows_line_ends_and_optional_files_are_fine(small_folder: Path) -> None:
    """Quotes are lines without their ends, and no identifiers, links, further and uncovered questions means none."""
    for path in (small_folder / "sources").iterdir():
        path.write_bytes(path.read_bytes().replace(b"\n", b"\r\n"))
    (small_folder / "identifiers.yaml").unlink()
    (small_folder / "crosswalk.tsv").unlink()
    (small_folder / "asked.tsv").unlink()
    (small_folder / "uncovered.txt").unlink()
    corpus = load_corpus(small_folder)
    quotes = [d.quote(s) for d in corpus.documents for p in d.provisions for s in p.segments]
    assert len(quotes) == 15
    assert all(quote == quote.strip() for quote in quotes)


def test_corpus_without_sources_is_refused(small_folder: Path, small_settings: Settings) -> None:
    """Whether while reading or while building: with an error that a user can act on."""
    shutil.rmtree(small_folder / "sources")
    (small_folder / "crosswalk.tsv").unlink()
    with pytest.raises(AssistantError, match=str(small_folder)):
        build_index(load_corpus(small_folder), small_settings, embedder=HashEmbedder())


def test_absent_corpus(tmp_path: Path) -> None:
    with pytest.raises(CorpusError, match="check the setting 'corpus'"):
        load_corpus(tmp_path / "nowhere")


# Settings, recipe and model


@pytest.mark.parametrize(
    ("content", "says"),
    [
        ("speed = 3", "Unknown setting 'speed'.*Known settings: corpus"),
        ("corpus = ", "not valid TOML"),
        ("corpus = 5", "corpus"),
        ("cache = []", "cache"),
        ("cache = ''", "cache"),
        ('cache = "a\\u0000b"', "cache"),
        ("lock_timeout_s = 'soon'", "lock_timeout_s.*'soon'"),
        ("lock_timeout_s = [1]", "lock_timeout_s"),
        ("lock_timeout_s = -1", "lock_timeout_s"),
        ("lock_timeout_s = nan", "lock_timeout_s"),
        ("embedding_model = []", "embedding_model"),
    ],
)
def test_bad_settings_file(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, content: str, says: str
) -> None:
    path = tmp_path / "settings.toml"
    path.write_text(content, encoding="utf-8")
    monkeypatch.setenv("SAFETY_ASSISTANT_SETTINGS", str(path))
    with pytest.raises(SettingsError, match=says) as caught:
        load_settings()
    assert str(path) in str(caught.value)


def test_settings_file_that_is_not_text(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    path = tmp_path / "settings.toml"
    path.write_bytes(b"\xff\xfe")
    monkeypatch.setenv("SAFETY_ASSISTANT_SETTINGS", str(path))
    with pytest.raises(SettingsError, match=str(path)):
        load_settings()


def test_bad_setting_in_the_environment(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("SAFETY_ASSISTANT_LOCK_TIMEOUT_S", "soon")
    with pytest.raises(SettingsError, match=r"lock_timeout_s in the environment.*'soon'"):
        load_settings()


def test_unknown_setting_in_the_call() -> None:
    with pytest.raises(SettingsError, match="Unknown setting 'speed' in the call"):
        load_settings(speed=3)


Change = Callable[[Path], None]


def changed(name: str, old: str, new: str) -> Change:
    def change(recipe: Path) -> None:
        text = (recipe / name).read_text("utf-8")
        assert old in text
        (recipe / name).write_text(text.replace(old, new, 1), encoding="utf-8")

    return change


@pytest.mark.parametrize(
    ("change", "error", "says"),
    [
        (changed("recipe.toml", 'weights_sha256 = "', 'weights_sha256 = "0'), ModelError, "pinned"),
        (changed("recipe.toml", 'tokenizer_sha256 = "', 'tokenizer_sha256 = "0'), ModelError, "pinned"),
        (changed("recipe.toml", "[model]", "[model"), SettingsError, "recipe.toml"),
        (changed("recipe.toml", "dimension", "breadth"), SettingsError, "recipe.toml"),
        (lambda recipe: (recipe / "recipe.toml").unlink(), SettingsError, "recipe.toml"),
        (changed("ranking.json", "{", "["), SettingsError, "ranking.json"),
        (changed("ranking.json", '"threshold"', '"thresh"'), SettingsError, "ranking.json"),
        (lambda recipe: (recipe / "ranking.json").unlink(), SettingsError, "ranking.json"),
    ],
    ids=["weights", "tokenizer", "toml", "key", "no-recipe", "json", "no-threshold", "no-ranking"],
)  # fmt: skip
def test_recipe_that_cannot_be_used(
    small_folder: Path, tmp_path: Path, change: Change, error: type[AssistantError], says: str
) -> None:
    """Above all weights other than the pinned ones are refused."""
    recipe = tmp_path / "recipe"
    recipe.mkdir()
    for name in ("recipe.toml", "ranking.json"):
        shutil.copy(ROOT / "index" / name, recipe / name)
    change(recipe)
    with pytest.raises(error, match=says):
        Assistant.open(load_settings(corpus=small_folder, recipe=recipe, cache=tmp_path / "cache"))
    assert not (tmp_path / "cache").exists() or not list((tmp_path / "cache").glob("*-*"))


def test_model_that_is_not_there(small_folder: Path, tmp_path: Path) -> None:
    settings = load_settings(
        corpus=small_folder, cache=tmp_path / "cache", embedding_model=str(tmp_path / "none")
    )
    with pytest.raises(ModelError, match="embedding_model"):
        Assistant.open(settings)


# A cache that cannot be written

BUILD = """
import resource, sys
from pathlib import Path
from typing import Any
from assistant import IndexUnwritable, Settings
from assistant.documents import load_corpus
from assistant.index import build_index
from tests.conftest import HashEmbedder

settings = Settings(corpus=Path(sys.argv[1]), cache=Path(sys.argv[2]))
corpus = load_corpus(settings.corpus)
limit, fresh = sys.argv[3:]
if limit:
    resource.setrlimit(resource.RLIMIT_FSIZE, (int(limit), resource.RLIM_INFINITY))
try:
    build_index(corpus, settings, fresh=bool(fresh), embedder=HashEmbedder())
    print("built")
except IndexUnwritable as error:
    print(error)
"""
ASK = """
import sys
from pathlib import Path
from typing import Any
from assistant import Assistant, Settings
from assistant.documents import load_corpus
from assistant.index import open_index, verify_index
from tests.conftest import HashEmbedder

settings = Settings(corpus=Path(sys.argv[1]), cache=Path(sys.argv[2]))
with open_index(load_corpus(settings.corpus), settings, HashEmbedder()) as index:
    print("whole" if verify_index(index) == [] else "broken")
"""


def built(folder: Path) -> tuple[Corpus, Settings]:
    """The small corpus with its index in a cache."""
    settings = Settings(corpus=SMALL, cache=folder / "cache")
    corpus = load_corpus(SMALL)
    build_index(corpus, settings, embedder=HashEmbedder())
    return corpus, settings


def intact(corpus: Corpus, settings: Settings) -> bool:
    """Whether the index is whole and no part of another one lies beside it."""
    with open_index(corpus, settings, HashEmbedder()) as index:
        return verify_index(index) == [] and not list(settings.cache.glob("partial-*"))


def test_cache_under_a_file(small_corpus: Corpus, tmp_path: Path) -> None:
    (tmp_path / "file").touch()
    for cache in (tmp_path / "file", tmp_path / "file" / "cache"):
        with pytest.raises(IndexUnwritable, match="SAFETY_ASSISTANT_CACHE") as caught:
            build_index(small_corpus, load_settings(cache=cache), embedder=HashEmbedder())
        assert str(cache) in str(caught.value) and "make the folder writable" in str(caught.value)


@pytest.mark.skipif(sys.platform == "win32", reason="needs limits on resources")
@pytest.mark.parametrize(
    ("limit", "fresh"),
    [(0, ""), (1_000, ""), (30_000, ""), (30_000, "fresh"), (100_000, "fresh")],
)
def test_full_disk(small_folder: Path, tmp_path: Path, limit: int, fresh: str) -> None:
    """Files that cannot grow beyond a limit fail as on a full disk, at one step or another."""
    old, settings = built(tmp_path)
    path = small_folder / GUIDELINE
    path.write_text(path.read_text("utf-8").replace("every week", "every month"), "utf-8")
    arguments = [str(small_folder), str(settings.cache), str(limit), fresh]
    done = subprocess.run(
        [sys.executable, "-c", BUILD, *arguments],
        cwd=ROOT,
        capture_output=True,
        text=True,
        timeout=60,
    )
    assert done.returncode == 0, done.stderr[-500:]
    assert "Free some space" in done.stdout and "SAFETY_ASSISTANT_CACHE" in done.stdout
    assert str(settings.cache) in done.stdout
    assert intact(old, settings)


def unshare() -> list[str] | None:
    """How to run a command with mounts of its own; None where that is not permitted."""
    for command in (["unshare", "-m"], ["unshare", "-r", "-m"]):
        trial = [*command, "sh", "-c", "mount -t tmpfs tmpfs /mnt"]
        try:
            if subprocess.run(trial, capture_output=True).returncode == 0:
                return command
        except OSError:
            break
    return None


def read_only(cache: Path, script: str, *arguments: str) -> str:
    """Output of a script that sees the cache on a read-only file system."""
    command = unshare()
    if command is None:
        pytest.skip("mounting is not permitted")
    mount = f'mount --bind "{cache}" "{cache}" && mount -o remount,ro,bind "{cache}" && exec "$@"'
    child = [sys.executable, "-c", script, str(SMALL), str(cache), *arguments]
    done = subprocess.run(
        [*command, "sh", "-c", mount, "sh", *child],
        cwd=ROOT,
        capture_output=True,
        text=True,
        timeout=60,
    )
    assert done.returncode == 0, done.stderr[-500:]
    return done.stdout.strip()


def test_building_in_a_read_only_cache(tmp_path: Path) -> None:
    cache = tmp_path / "cache"
    cache.mkdir()
    said = read_only(cache, BUILD, "", "")
    assert "Read-only file system" in said and str(cache) in said
    assert "make the folder writable" in said and "SAFETY_ASSISTANT_CACHE" in said


def test_an_index_in_a_read_only_cache_can_be_asked(tmp_path: Path) -> None:
    _, settings = built(tmp_path)
    assert read_only(settings.cache, ASK) == "whole"


def test_disk_that_is_really_full(tmp_path: Path) -> None:
    """A file system of 200 KiB, less than the vector store needs."""
    command = unshare()
    if command is None:
        pytest.skip("mounting is not permitted")
    cache = tmp_path / "cache"
    cache.mkdir()
    mount = f'mount -t tmpfs -o size=200k tmpfs "{cache}" && "$@" && ls "{cache}"'
    done = subprocess.run(
        [
            *command,
            "sh",
            "-c",
            mount,
            "sh",
            sys.executable,
            "-c",
            BUILD,
            str(SMALL),
            str(cache),
            "",
            "",
        ],
        cwd=ROOT,
        capture_output=True,
        text=True,
        timeout=60,
    )
    assert done.returncode == 0, done.stderr[-500:]
    message, *left = done.stdout.splitlines()
    assert "the disk is full. Free some space" in message
    assert left == ["build.lock"]


# Ctrl-C


def test_ctrl_c_during_a_build(tmp_path: Path) -> None:
    """The shipped corpus takes long enough to be interrupted while it is embedded."""
    cache = with_model(tmp_path / "cache")
    env = environment(SMALL, cache)
    assert run(env, "index", "build").returncode == 0
    before = (cache / "current").read_text("utf-8")
    process = subprocess.Popen(
        [*PROGRAM, "index", "build"],
        cwd=ROOT,
        env=environment(ROOT / "corpus", cache),
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
    )
    deadline = time.monotonic() + 60
    while not list(cache.glob("partial-*")) and time.monotonic() < deadline:
        assert process.poll() is None
        time.sleep(0.02)
    os.kill(process.pid, signal.SIGINT)
    output, errors = process.communicate(timeout=60)
    assert (process.returncode, output) == (130, "")
    assert "Traceback" not in errors
    assert errors.splitlines()[-1].startswith("Interrupted. What was finished is kept")
    assert not list(cache.glob("partial-*"))
    assert (cache / "current").read_text("utf-8") == before
    assert run(env, "index", "verify").returncode == 0
