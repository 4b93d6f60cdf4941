"""The wheel: built from the sdist, installed elsewhere, and run outside the checkout."""

from __future__ import annotations

import json
import os
import shutil
import subprocess
import sys
import sysconfig
import tarfile
import venv
import zipfile
from pathlib import Path

import pytest

from assistant import paths
from assistant.documents import load_corpus
from tests.conftest import ROOT, SMALL
from tests.test_cli import environment, with_model

pytest.importorskip("build")
pytest.importorskip("hatchling")
BUILT = (".npy", ".onnx", ".pickle", ".pyc", ".sqlite3", ".lock", ".bin")


@pytest.fixture(scope="module")
def distributions(tmp_path_factory: pytest.TempPathFactory) -> tuple[Path, Path]:
    """The sdist, and the wheel that is built from it."""
    folder = tmp_path_factory.mktemp("dist")
    command = [sys.executable, "-m", "build", "--no-isolation", "--outdir", str(folder), str(ROOT)]
    done = subprocess.run(command, cwd=folder, capture_output=True, text=True, timeout=300)
    assert done.returncode == 0, done.stderr[-1000:]
    (sdist,) = folder.glob("*.tar.gz")
    (wheel,) = folder.glob("*-py3-none-any.whl")
    return sdist, wheel


@pytest.fixture(scope="module")
def installed(
    distributions: tuple[Path, Path], tmp_path_factory: pytest.TempPathFactory
) -> tuple[Path, dict[str, str]]:
    """The scripts of a clean environment that holds the wheel, and what to run them with.

    The libraries are this environment's, put at the end of the path by a line in a .pth file; such a
    line does not read the .pth files there, and so not the one of an editable install.
    """
    folder = tmp_path_factory.mktemp("installed")
    venv.create(folder / "venv")
    scripts = folder / "venv" / ("Scripts" if os.name == "nt" else "bin")
    install = ["install", "--no-deps", "--no-index", "--quiet", str(distributions[1])]
    # Before the .pth file is there: pip must not see, and replace, this environment's own install.
    pip = [sys.executable, "-m", "pip", "--python", str(scripts / "python"), *install]
    done = subprocess.run(pip, cwd=folder, capture_output=True, text=True, timeout=120)
    assert done.returncode == 0, done.stderr[-1000:]
    (packages,) = (folder / "venv").glob("[Ll]ib/**/site-packages")
    (packages / "libraries.pth").write_text(sysconfig.get_path("purelib") + "\n", encoding="utf-8")
    shutil.copytree(SMALL, folder / "small")
    env = environment(folder / "small", with_model(folder / "cache"), HOME=str(folder))
    env = {key: value for key, value in env.items() if not key.startswith(("PYTHON", "XDG_"))}
    return scripts, env


def run(installed: tuple[Path, dict[str, str]], *command: str) -> subprocess.CompletedProcess[str]:
    """Run a script of the clean environment, from a folder that is not the checkout's."""
    scripts, env = installed
    return subprocess.run(
        [str(scripts / command[0]), *command[1:]],
        cwd=scripts.parent.parent,
        env=env,
        capture_output=True,
        text=True,
        timeout=120,
    )


def python(installed: tuple[Path, dict[str, str]], code: str) -> str:
    done = run(installed, "python", "-c", code)
    assert done.returncode == 0, done.stderr[-1000:]
    return done.stdout.strip()


def test_wheel_holds_the_package_with_its_data_and_nothing_built(
    distributions: tuple[Path, Path],
) -> None:
    names = zipfile.ZipFile(distributions[1]).namelist()
    tops = {name.partition("/")[0] for name in names}
    assert len(tops) == 2
    assert "assistant" in tops and any(top.endswith(".dist-info") for top in tops)
    sources = {path.name for path in (ROOT / "corpus" / "sources").glob("*.md")}
    prefix = "assistant/_data/corpus/sources/"
    assert {name.removeprefix(prefix) for name in names if name.startswith(prefix)} == sources
    data = {name.removeprefix("assistant/_data/") for name in names}
    assert {"corpus/taxonomy.yaml", "corpus/identifiers.yaml"} <= data
    assert {"index/recipe.toml", "index/ranking.json"} <= data
    assert not [name for name in names if name.endswith(BUILT) or "built" in name.split("/")]
    modules = {path.relative_to(ROOT).as_posix() for path in (ROOT / "assistant").rglob("*.py")}
    assert modules <= set(names)


def test_sdist_holds_what_the_tests_need_and_nothing_built(
    distributions: tuple[Path, Path],
) -> None:
    with tarfile.open(distributions[0]) as archive:
        names = {name.partition("/")[2] for name in archive.getnames()}
    assert {"pyproject.toml", "README.md", "LICENSE", "constraints.txt"} <= names
    assert {"tests/conftest.py", "tests/data/corpus/taxonomy.yaml", "evals/__main__.py"} <= names
    assert {"index/recipe.toml", "corpus/taxonomy.yaml", "assistant/__init__.py"} <= names
    assert not [name for name in names if name.endswith(BUILT) or name.startswith("index/built")]
    assert not [name for name in names if name.startswith((".git/", ".venv", "shared"))]


def test_the_installed_program_answers_outside_the_checkout(
    installed: tuple[Path, dict[str, str]],
) -> None:
    question = "Is it safe to load a pickle checkpoint from the internet?"
    done = run(installed, "safety-assistant", "ask", question, "--json")
    assert done.returncode == 0, done.stderr[-1000:]
    answer = json.loads(done.stdout)
    assert answer["outcome"] == "answered"
    assert answer["citations"] and all(statement["citations"] for statement in answer["statements"])
    assert {citation["title"] for citation in answer["citations"]} >= {"Example guideline"}
    place = Path(python(installed, "import assistant; print(assistant.__file__)"))
    assert installed[0].parent in place.parents


def test_the_installed_corpus_is_the_checkouts(installed: tuple[Path, dict[str, str]]) -> None:
    code = (
        "from assistant import paths; from assistant.documents import load_corpus; "
        "corpus = load_corpus(paths.corpus_folder()); print(corpus.sha256, len(corpus.provisions)); "
        "print(paths.corpus_folder()); print(paths.default_cache())"
    )
    counts, folder, cache = python(installed, code).splitlines()
    here = load_corpus(paths.corpus_folder())
    assert counts == f"{here.sha256} {len(here.provisions)}"
    environment_folder = installed[0].parent
    assert environment_folder in Path(folder).parents
    assert environment_folder not in Path(cache).parents and ROOT not in Path(cache).parents


@pytest.mark.parametrize("name", ["corpus", "index", "evals", "tests", "_data"])
def test_only_the_package_can_be_imported(
    installed: tuple[Path, dict[str, str]], name: str
) -> None:
    """Of what the wheel installs: the libraries' folder is taken off the path first."""
    code = (
        "import sys; from importlib.util import find_spec; "
        f"sys.path.remove({sysconfig.get_path('purelib')!r}); "
        f"assert find_spec('assistant'); print(find_spec({name!r}))"
    )
    assert python(installed, code) == "None"


def test_the_installed_package_says_what_it_is(installed: tuple[Path, dict[str, str]]) -> None:
    code = "from importlib.metadata import version; print(version('safety-guideline-assistant'))"
    done = run(installed, "safety-assistant", "--version")
    assert (done.returncode, done.stdout.strip()) == (0, python(installed, code))
