"""Code that comes with a question -> what is noticed in it, in words of a closed vocabulary.

The code is data: it is parsed or searched, never run, and nothing of its text leaves this module.
"""

from __future__ import annotations

import ast
import re
import textwrap
from bisect import bisect_right
from collections.abc import Iterable, Iterator
from dataclasses import dataclass, field
from itertools import accumulate
from pathlib import PurePosixPath

from assistant.documents import CodeSign, CodeSigns
from assistant.errors import QuestionError
from assistant.types import Noticed

MAX_CODE_CHARS = 20_000
"""Length of a selection and of a manifest from which they are refused."""
MAX_NAME_CHARS = 1_000
"""The same of a path and of a language's name."""

_GROUPS = {
    "python": ("python", "py"),
    "javascript": ("javascript", "js", "jsx", "mjs", "cjs", "typescript", "ts", "tsx", "mts",
                   "javascriptreact", "typescriptreact", "vue", "svelte", "html", "htm"),
    "java": ("java", "kotlin", "kt", "scala", "groovy"),
    "csharp": ("csharp", "c#", "cs", "fsharp", "razor", "cshtml"),
    "go": ("go",),
    "config": ("yaml", "yml", "json", "jsonc", "toml", "ini", "cfg", "env", "dockerfile", "makefile",
               "shellscript", "shell", "bash", "sh", "zsh", "powershell", "ps1", "properties"),
}  # fmt: skip
_GROUP_OF = {name: group for group, names in _GROUPS.items() for name in names}
_SLASHED = {"javascript", "java", "csharp", "go"}
_MANIFESTS = re.compile(
    r"requirements[\w.-]{0,40}\.(?:txt|in)|constraints\.txt|pyproject\.toml|setup\.cfg|pipfile"
    r"|package\.json|go\.mod|pom\.xml|build\.gradle(?:\.kts)?|cargo\.toml|environment\.ya?ml"
    r"|[\w.-]{1,80}\.csproj"
)
# Each alternative takes the rest of the text where its end is missing, so that none is tried twice.
_STRING = r'(?:"(?:\\.|[^"\\\n])*(?:"|\\?\Z|(?=\n))|\'(?:\\.|[^\'\\\n])*(?:\'|\\?\Z|(?=\n)))'
_SLASH_TOKENS = re.compile(
    rf"(?P<comment>//[^\n]*|/\*.*?(?:\*/|\Z)|<!--.*?(?:-->|\Z))"
    rf"|(?P<string>[$@]{{0,2}}(?:`(?:\\.|[^`\\])*(?:`|\\?\Z)|{_STRING}))",
    re.DOTALL,
)
_HASH_TOKENS = re.compile(
    r'(?P<comment>#[^\n]*)|(?P<string>[A-Za-z]{0,2}(?:"""(?:\\.|[^\\])*?(?:"""|\\?\Z)'
    rf"|'''(?:\\.|[^\\])*?(?:'''|\\?\Z)|{_STRING}))",
    re.DOTALL,
)
_CONFIG_COMMENT = re.compile(r"(?:(?<=\s)|^)#[^\n]*", re.MULTILINE)
_FILLED = re.compile(r"\$?\{[^{}\n\\]{1,80}\}")
_WARNED_OF = re.compile(r"\b\d\w*?(?:and|else|for|if|in|is|not|or)\b")
"""Numbers run into a word, of which Python's parser warns on standard error."""
_ONE_WORD = re.compile(r"[$@A-Za-z]{0,2}(['\"`])[\w./:@-]{1,200}\1")
_PACKAGE = re.compile(r"@?[A-Za-z][\w./-]{0,200}")
_NO_VERSION = re.compile(
    r"(?:\[[^\]\n]{0,100}\])?[\"']?\s{0,9}(?:[:=]\s{0,9})?[\"']?\s{0,9}"
    r"(?:[\"']?,?\]?\s{0,9}(?:;.{0,200})?$|[>~^*!]|<(?!/)|=?latest|;)"
)
_DEEPEST = 7


@dataclass(frozen=True, slots=True)
class CodeContext:
    """Code that a question is about; all of it is data, and none of it is shown by ``repr``.

    path: of the file; language: as editors name it, guessed from the path if empty. selection: the
    code; manifest: the text of a list of dependencies (requirements.txt, pyproject.toml,
    package.json …). Raises QuestionError where a part is too long (selection and manifest
    20,000 characters, path and language 1,000) or is not text.
    """

    path: str = field(default="", repr=False)
    language: str = field(default="", repr=False)
    selection: str = field(default="", repr=False)
    manifest: str = field(default="", repr=False)

    def __post_init__(self) -> None:
        for name, most in (
            ("path", MAX_NAME_CHARS),
            ("language", MAX_NAME_CHARS),
            ("selection", MAX_CODE_CHARS),
            ("manifest", MAX_CODE_CHARS),
        ):
            value = getattr(self, name)
            if not isinstance(value, str) or "\0" in value:
                raise QuestionError(f"The {name} of the code is not text. Pass source text.")
            if len(value) > most:
                raise QuestionError(
                    f"The {name} of the code has {len(value):,} characters; at most {most:,} are "
                    "taken. Select less."
                )


def notice(code: CodeContext, vocabulary: CodeSigns) -> tuple[Noticed, ...]:
    """What the code shows, each sign once for the selection and once for the manifest.

    The most telling signs come first. Takes time linear in the length of the code.
    """
    manifest_like = bool(_MANIFESTS.fullmatch(PurePosixPath(code.path).name.lower()))
    found: dict[tuple[str, str], int] = {}
    if not manifest_like:
        for sign, line in _in_code(code, vocabulary):
            found[sign.id, "selection"] = line
    for text, place in (
        (code.selection if manifest_like else "", "selection"),
        (code.manifest, "manifest"),
    ):
        for sign, number in _in_manifest(text, vocabulary.signs):
            found.setdefault((sign.id, place), number)
    return tuple(
        Noticed(sign.id, sign.what, seen, place, sign.concerns[0])
        for sign in vocabulary.signs
        for place in ("selection", "manifest")
        if (seen := found.get((sign.id, place))) is not None
    )


def _in_code(code: CodeContext, vocabulary: CodeSigns) -> Iterator[tuple[CodeSign, int]]:
    group = _group(code)
    text, lines = _reading(code.selection, group)
    starts = list(accumulate((len(line) + 1 for line in text.split("\n")), initial=0))
    with_model = any(pattern.search(text) for pattern in vocabulary.models)
    for sign in vocabulary.signs:
        if sign.with_model and not with_model:
            continue
        groups = [name for name in sign.written if name == "any" or group in (name, "")]
        seen = _first(sign, [name for name in groups if name != "raw"], text)
        raw = _first(sign, ["raw"], code.selection)
        if seen is not None:
            yield sign, lines[bisect_right(starts, seen) - 1]
        elif raw is not None:
            yield sign, code.selection.count("\n", 0, raw) + 1


def _first(sign: CodeSign, groups: Iterable[str], text: str) -> int | None:
    """Where a sign is first seen in a text by the patterns of some groups."""
    patterns = (pattern for group in groups for pattern in sign.written.get(group, ()))
    return min((match.start() for p in patterns if (match := p.search(text))), default=None)


def _group(code: CodeContext) -> str:
    """The group of languages by name or path; "" if it is not known."""
    path = PurePosixPath(code.path.replace("\\", "/"))
    names = (code.language, path.suffix.removeprefix("."), path.name.partition(".")[0])
    return next((_GROUP_OF[name.lower()] for name in names if name.lower() in _GROUP_OF), "")


def _reading(selection: str, group: str) -> tuple[str, list[int]]:
    """The code as patterns read it, and the line of the selection (from 1) of each of its lines."""
    if group == "config":
        text = _CONFIG_COMMENT.sub("", selection)
    else:
        text = (_SLASH_TOKENS if group in _SLASHED else _HASH_TOKENS).sub(_bare, selection)
    if group in ("python", "") and not _WARNED_OF.search(text):
        try:
            tree = ast.parse(textwrap.dedent(text))
        except (SyntaxError, ValueError, RecursionError, MemoryError):
            pass
        else:
            read = list(_Python(tree).lines())
            return "\n".join(line for _, line in read), [number for number, _ in read] or [1]
    text = re.sub(r"[^\S\n]+", " ", text)
    return text, list(range(1, text.count("\n") + 2))


def _bare(match: re.Match[str]) -> str:
    """Nothing for a comment; of a string what is filled in, or all of it if it is one word."""
    written = match[0]
    breaks = "\n" * written.count("\n")
    if match["comment"]:
        return breaks
    if _ONE_WORD.fullmatch(written):
        return written
    prefix = written[: re.search("[\"'`]", written).start()]  # type: ignore[union-attr]
    rest = written[len(prefix) :]
    quote = rest[:3] if rest[:3] in ('"""', "'''") else rest[:1]
    formatted = quote == "`" or set(prefix) & set("$fF")
    filled = "".join(_FILLED.findall(written)) if formatted else ""
    return f"{prefix}{quote}{filled}{breaks}{quote}"


class _Python:
    """A module as lines of calls, assignments and imports, with imported names in full."""

    def __init__(self, tree: ast.Module) -> None:
        self._tree = tree
        self._full: dict[str, str] = {}
        for node in ast.walk(tree):
            if isinstance(node, ast.Import):
                self._full |= {a.asname: a.name for a in node.names if a.asname}
            elif isinstance(node, ast.ImportFrom):
                self._full |= {a.asname or a.name: f"{node.module}.{a.name}" for a in node.names}

    def lines(self) -> list[tuple[int, str]]:
        """Line of the source and text of each call, assignment …, in order; imports come last."""
        read = [entry for node in ast.walk(self._tree) for entry in self._of(node)]
        return sorted(read, key=lambda entry: (entry[1].startswith("import "), entry[0]))

    def _of(self, node: ast.AST) -> Iterator[tuple[int, str]]:
        match node:
            case ast.Import():
                yield from ((node.lineno, f"import {alias.name}") for alias in node.names)
            case ast.ImportFrom():
                names = (f"import {node.module}.{alias.name}" for alias in node.names)
                yield from ((node.lineno, name) for name in names)
            case ast.FunctionDef() | ast.AsyncFunctionDef() | ast.ClassDef():
                for entry in node.decorator_list:
                    yield entry.lineno, f"@{self._text(entry)}"
            case ast.Assign():
                yield node.lineno, f"{self._text(node.targets[0])} = {self._text(node.value)}"
            case ast.AnnAssign():
                yield node.lineno, f"{self._text(node.target)} = {self._text(node.value)}"
            case ast.Call() | ast.Dict():
                yield node.lineno, self._text(node)

    def _text(self, node: ast.AST | None, depth: int = 0) -> str:
        """An expression in short; what lies too deep, and strings of several words, left out."""
        if depth > _DEEPEST:
            return "…"
        match node:
            case ast.Name():
                return self._full.get(node.id, node.id)
            case ast.Attribute():
                return f"{self._text(node.value, depth + 1)}.{node.attr}"
            case ast.Constant(value=str() as value):
                return f"'{value.strip()}'"
            case ast.Constant():
                return repr(node.value)[:40]
            case ast.JoinedStr():
                filled = [n.value for n in node.values if isinstance(n, ast.FormattedValue)]
                return f"f'{''.join(f'{{{self._text(n, depth + 1)}}}' for n in filled)}'"
            case ast.Call():
                given = [self._text(entry, depth + 1) for entry in node.args]
                given += [f"{k.arg}={self._text(k.value, depth + 1)}" for k in node.keywords]
                return f"{self._text(node.func, depth + 1)}({', '.join(given)})"
            case ast.Dict():
                pairs = zip(node.keys, node.values, strict=True)
                inner = (
                    f"{self._text(k, depth + 1)}: {self._text(v, depth + 1)}" for k, v in pairs
                )
                return f"{{{', '.join(inner)}}}"
            case ast.List() | ast.Tuple() | ast.Set():
                return f"[{', '.join(self._text(entry, depth + 1) for entry in node.elts)}]"
            case ast.BinOp():
                return f"{self._text(node.left, depth + 1)} + {self._text(node.right, depth + 1)}"
            case ast.Await():
                return self._text(node.value, depth)
            case ast.Subscript():
                return f"{self._text(node.value, depth + 1)}[]"
            case _:
                return "…"


def _in_manifest(text: str, signs: Iterable[CodeSign]) -> Iterator[tuple[CodeSign, int]]:
    """Signs by the packages that a list of dependencies names, and by the lack of exact versions."""
    by_package = {name: sign for sign in signs for name in sign.packages}
    unpinned = [sign for sign in signs if sign.unpinned]
    for number, line in enumerate(text.split("\n"), start=1):
        bare = _CONFIG_COMMENT.sub("", line)
        for match in _PACKAGE.finditer(bare):
            name = match[0].lower().replace("_", "-")
            sign = by_package.get(name) or by_package.get(name.rpartition("/")[2])
            if sign is None:
                continue
            if not sign.unpinned:
                yield sign, number
            if _NO_VERSION.match(bare, match.end()):
                yield from ((other, number) for other in unpinned)
