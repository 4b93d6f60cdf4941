"""The shape of the code: imports go one way, one module for each heavy library, no stray output."""

from __future__ import annotations

import ast
import dataclasses
import graphlib
import typing
from collections.abc import Iterator
from pathlib import Path

import pytest

import assistant
from tests.conftest import ROOT

PACKAGE = ROOT / "assistant"
ORDER = [
    {"errors", "types", "paths"},
    {"files", "recipe", "schema", "settings"},
    {"taxonomy"},
    {"documents"},
    {"chunking"},
    {"embedding"},
    {"index"},
    {"code_context"},
    {"questions"},
    {"conversation"},
    {"library"},
    {"ranking"},
    {"retrieval"},
    {"checking", "prompts"},
    {"generation"},
    {"citing", "rewriting"},
    {"writing"},
    {"answering", "checklists"},
    {"api"},
    {"aio"},
    {"interfaces"},
]
"""From the first to the last; a module imports from before its own set, or within its folder."""
HOMES = {
    "charset_normalizer": {"documents/formats/decoding.py"},
    "chromadb": {"index/store.py"},
    "fastapi": {"interfaces/http.py", "interfaces/web/server.py"},
    "filelock": {"index/build.py"},
    "gradio": {"interfaces/web/page.py", "interfaces/web/server.py"},
    "langchain": {"generation/model.py", "interfaces/langchain.py"},
    "markdown_it": {"documents/formats/markdown.py"},
    "mcp": {"interfaces/mcp.py"},
    "mcp_types": {"interfaces/mcp.py"},
    "onnxruntime": {"embedding.py"},
    "pydantic": {
        "schema.py",
        "interfaces/asking.py",
        "interfaces/http.py",
        "interfaces/langchain.py",
        "interfaces/mcp.py",
    },
    "pypdf": {"documents/formats/pdf.py", "documents/formats/pdf_text.py"},
    "selectolax": {"documents/formats/html.py", "documents/formats/markdown.py"},
    "sentence_transformers": {"embedding.py"},
    "starlette": {
        "interfaces/http.py",
        "interfaces/web/keeping.py",
        "interfaces/web/reading.py",
        "interfaces/web/server.py",
        "interfaces/web/stopping.py",
    },
    "tokenizers": {"embedding.py"},
    "torch": {"embedding.py"},
    "transformers": {"embedding.py"},
    "uvicorn": {"interfaces/serving.py"},
    "yaml": {"files.py"},
}
"""The only modules that may import a library; a folder stands for everything in it."""
FOLDERS = {
    "sqlite3": {"index", "library", "interfaces"},
    "rich": {"interfaces"},
    "typer": {"interfaces"},
}
MODULES = sorted(PACKAGE.rglob("*.py"))


def name(path: Path) -> str:
    """Dotted name within the package; "" for its __init__."""
    parts = path.relative_to(PACKAGE).with_suffix("").parts
    return ".".join(parts[:-1] if parts[-1] == "__init__" else parts)


def tree(path: Path) -> ast.Module:
    return ast.parse(path.read_text("utf-8"), str(path))


def imported(path: Path) -> Iterator[str]:
    """Full names of all that a module imports, wherever in it; relative imports are refused."""
    for node in ast.walk(tree(path)):
        if isinstance(node, ast.Import):
            yield from (alias.name for alias in node.names)
        elif isinstance(node, ast.ImportFrom):
            assert node.level == 0, f"{path}:{node.lineno}: relative import"
            yield from (f"{node.module}.{alias.name}" for alias in node.names)


KNOWN = {name(path) for path in MODULES}


def own(path: Path) -> Iterator[str]:
    """Modules of the package that a module imports, by dotted name; "" for the package itself."""
    for full in imported(path):
        first, _, rest = full.partition(".")
        if first == "assistant":
            while rest not in KNOWN:
                rest = rest.rpartition(".")[0]
            yield rest


def rank(module: str) -> int:
    (place,) = (n for n, names in enumerate(ORDER) if module.partition(".")[0] in names)
    return place


def test_every_module_has_a_place_in_the_order() -> None:
    assert len(MODULES) > 20
    top = {module.partition(".")[0] for module in KNOWN} - {""}
    assert top <= set().union(*ORDER), "add the new module to ORDER"


@pytest.mark.parametrize("path", MODULES, ids=name)
def test_imports_go_one_way(path: Path) -> None:
    module = name(path)
    if not module:
        return
    for other in own(path):
        if other == "":
            assert module.startswith("interfaces"), f"{module} imports the package that holds it"
            continue
        same_folder = "." in module and module.partition(".")[0] == other.partition(".")[0]
        package = path.name == "__init__.py" and other.startswith(f"{module}.")
        earlier = rank(other) < rank(module)
        assert earlier or same_folder or package, f"{module} imports {other}"


def test_no_module_imports_itself_by_a_detour() -> None:
    graph = {module: set(own(path)) - {module} for path in MODULES if (module := name(path))}
    packages = {
        module for module in graph if any(other.startswith(f"{module}.") for other in graph)
    }
    for module, others in graph.items():
        inside = module.rpartition(".")[0]
        assert inside not in others or inside not in packages, f"{module} imports its own folder"
    assert len(list(graphlib.TopologicalSorter(graph).static_order())) >= len(graph)


def test_each_heavy_library_is_imported_in_one_place() -> None:
    found: dict[str, set[str]] = {}
    for path in MODULES:
        for full in imported(path):
            library = full.partition(".")[0]
            library = "langchain" if library.startswith("langchain") else library
            found.setdefault(library, set()).add(path.relative_to(PACKAGE).as_posix())
    for library in (
        "chromadb",
        "onnxruntime",
        "sentence_transformers",
        "torch",
        "typer",
        "sqlite3",
    ):
        assert found[library], "the search finds what is known to be there"
    for library, homes in HOMES.items():
        assert found.get(library, set()) <= homes, library
    for library, folder in FOLDERS.items():
        assert {home.partition("/")[0] for home in found.get(library, ())} <= folder, library


def test_the_package_imports_nothing_of_the_workbench() -> None:
    for path in MODULES:
        tops = {full.partition(".")[0] for full in imported(path)}
        assert not tops & {"evals", "tests", "pytest"}, path


def test_the_workbench_imports_the_package() -> None:
    """And is where the name of an internal module may be looked up."""
    tops = {f.partition(".")[0] for path in (ROOT / "evals").rglob("*.py") for f in imported(path)}
    assert "assistant" in tops and "tests" not in tops


@pytest.mark.parametrize(
    "path", [path for path in MODULES if not name(path).startswith("interfaces")], ids=name
)
def test_only_interfaces_print(path: Path) -> None:
    for node in ast.walk(tree(path)):
        if isinstance(node, ast.Call) and isinstance(node.func, ast.Name):
            assert node.func.id not in ("print", "input", "breakpoint"), node.lineno
        if isinstance(node, ast.Attribute) and isinstance(node.value, ast.Name):
            assert (node.value.id, node.attr) not in (("sys", "stdout"), ("sys", "stderr"))


def undocumented(body: list[ast.stmt], inside: str) -> Iterator[str]:
    """Public classes and functions without a docstring, at module level or in public classes."""
    for node in body:
        if isinstance(node, ast.ClassDef | ast.FunctionDef | ast.AsyncFunctionDef):
            if node.name.startswith("_"):
                continue
            if not ast.get_docstring(node):
                yield f"{inside}.{node.name}"
            if isinstance(node, ast.ClassDef):
                yield from undocumented(node.body, f"{inside}.{node.name}")


@pytest.mark.parametrize("path", MODULES, ids=name)
def test_everything_public_has_a_docstring(path: Path) -> None:
    module = tree(path)
    assert ast.get_docstring(module), "the module has none"
    assert list(undocumented(module.body, name(path))) == []


def test_public_names() -> None:
    assert sorted(assistant.__all__) == list(assistant.__all__)
    assert assistant.__all__ == [
        "Answer",
        "Assistant",
        "AssistantClosed",
        "AssistantError",
        "AsyncAssistant",
        "Checked",
        "Checklist",
        "ChecklistItem",
        "Citation",
        "CodeContext",
        "Confidence",
        "CorpusError",
        "Document",
        "Fetched",
        "FileRefused",
        "Held",
        "Hit",
        "IndexBusy",
        "IndexDamaged",
        "IndexFailure",
        "IndexMismatch",
        "IndexMissing",
        "IndexUnwritable",
        "Library",
        "LibraryDocument",
        "LibraryError",
        "Link",
        "ModelError",
        "Noticed",
        "OfficialFile",
        "Outcome",
        "Page",
        "Passage",
        "Provision",
        "QuestionError",
        "Record",
        "Reply",
        "Report",
        "Said",
        "Segment",
        "Settings",
        "SettingsError",
        "Source",
        "SourceSummary",
        "Statement",
        "Topic",
        "json_schema",
        "load_settings",
    ]
    assert all(hasattr(assistant, public) for public in assistant.__all__)


def own_classes(hint: object) -> Iterator[type]:
    """The package's classes in a type hint."""
    if isinstance(hint, type) and hint.__module__.startswith("assistant."):
        yield hint
    for part in typing.get_args(hint):
        yield from own_classes(part)


def test_whatever_public_names_take_give_and_hold_is_public_and_frozen() -> None:
    public = [getattr(assistant, public) for public in assistant.__all__]
    data = [kind for kind in public if dataclasses.is_dataclass(kind)]
    assert len(data) > 10
    for kind in data:
        assert kind.__dataclass_params__.frozen, kind
        assert hasattr(kind, "__slots__"), kind
    doors = (assistant.Assistant, assistant.AsyncAssistant)
    methods = [
        value
        for door in doors
        for name, value in vars(door).items()
        if callable(value) and not name.startswith("_")
    ]
    for thing in (*methods, assistant.Assistant.open, assistant.load_settings, *data):
        for hint in typing.get_type_hints(thing).values():
            assert set(own_classes(hint)) <= set(public), thing
