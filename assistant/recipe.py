"""How the corpus is encoded: ``recipe.toml``."""

from __future__ import annotations

import tomllib
from dataclasses import dataclass, replace
from pathlib import Path

from assistant.errors import SettingsError


@dataclass(frozen=True, slots=True)
class Adapter:
    """A safetensors file of low-rank changes to the linear layers of a model, and its sha256."""

    path: Path
    sha256: str


@dataclass(frozen=True, slots=True)
class ModelRecipe:
    """The pinned embedding model: its names, digests (sha256), dimension and token limit.

    adapters: the changes to its weights, which are added up.
    """

    name: str
    package: str
    dimension: int
    max_tokens: int
    weights_sha256: str
    tokenizer_sha256: str
    adapters: tuple[Adapter, ...] = ()


@dataclass(frozen=True, slots=True)
class Recipe:
    """The models, and the length in characters above which a provision is cut into chunks.

    model: for texts. questions: for what is asked; it may have one adapter more.
    """

    model: ModelRecipe
    questions: ModelRecipe
    max_chars: int


_PINNED = ("name", "package", "dimension", "max_tokens", "weights_sha256", "tokenizer_sha256")


def read_recipe(folder: Path) -> Recipe:
    """Read ``recipe.toml`` of a folder; raises SettingsError if it is missing or incomplete."""
    path = folder / "recipe.toml"
    try:
        data = tomllib.loads(path.read_text("utf-8"))
        named = [data[part] for part in ("adapter", "questions") if part in data]
        adapters = tuple(Adapter(folder / entry["file"], entry["sha256"]) for entry in named)
        pinned = {name: data["model"][name] for name in _PINNED}
        questions = ModelRecipe(**pinned, adapters=adapters)
        model = replace(questions, adapters=adapters[:1] if "adapter" in data else ())
        return Recipe(model, questions, int(data["chunks"]["max_chars"]))
    except (OSError, ValueError, KeyError, TypeError) as error:
        raise SettingsError(
            f"{path} cannot be used ({error}). Restore it, or correct the setting 'recipe'."
        ) from error
