"""The embedding model: pinned weights, the export and what it replaces."""

from __future__ import annotations

import shutil
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest

from assistant import ModelError, Settings, paths
from assistant.embedding import (
    OnnxEmbedder,
    SentenceTransformerEmbedder,
    bundled_model,
    file_sha256,
    open_embedder,
    open_embedders,
    prepare_embedder,
)
from assistant.recipe import ModelRecipe, read_recipe

RECIPE = read_recipe(paths.recipe_folder())
MODEL = RECIPE.model
TEXTS = [
    "pickle",
    "May I load a checkpoint that I found on a model hub?",
    "The provider of a high-risk AI system shall keep the logs. " * 30,
]


@pytest.fixture(scope="module")
def cache(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A cache with an export of its own, copied from the checkout's once that is made."""
    prepare_embedder("bundled", MODEL, Settings().cache)
    folder = tmp_path_factory.mktemp("cache")
    shutil.copytree(Settings().cache / "models", folder / "models")
    return folder


def test_the_export_gives_the_vectors_of_sentence_transformers(cache: Path) -> None:
    exported = open_embedder("bundled", MODEL, cache)
    original = SentenceTransformerEmbedder(str(bundled_model(MODEL)), adapters=MODEL.adapters)
    assert isinstance(exported, OnnxEmbedder)
    one, other = exported.embed(TEXTS), original.embed(TEXTS)
    assert one.shape == (3, MODEL.dimension)
    assert np.allclose(np.linalg.norm(one, axis=1), 1.0, atol=1e-5)
    assert float((one * other).sum(axis=1).min()) > 0.9999


def test_a_text_has_the_same_vector_alone_and_in_a_batch(cache: Path) -> None:
    embedder = open_embedder("bundled", MODEL, cache)
    together = embedder.embed(TEXTS)
    alone = np.concatenate([embedder.embed([text]) for text in TEXTS])
    assert float((together * alone).sum(axis=1).min()) > 0.99999


def test_vectors_come_in_the_order_of_their_texts(cache: Path) -> None:
    embedder = open_embedder("bundled", MODEL, cache)
    texts = [f"{text} {number}" for number in range(4) for text in reversed(TEXTS)]
    done: list[int] = []
    together = embedder.embed(texts, done.append)
    alone = np.concatenate([embedder.embed([text]) for text in texts])
    assert sum(done) == len(texts) and len(done) > 1
    assert float((together * alone).sum(axis=1).min()) > 0.99999


def test_nothing_to_embed(cache: Path) -> None:
    assert open_embedder("bundled", MODEL, cache).embed([]).shape == (0, 0)


def test_without_export_sentence_transformers_stands_in(tmp_path: Path) -> None:
    embedder = open_embedder("bundled", MODEL, tmp_path)
    assert isinstance(embedder, SentenceTransformerEmbedder)
    assert embedder.embed(["x"]).shape == (1, MODEL.dimension)


def test_a_changed_export_is_not_used(cache: Path, tmp_path: Path) -> None:
    shutil.copytree(cache / "models", tmp_path / "models")
    (model,) = (tmp_path / "models").glob(f"*{MODEL.adapters[0].sha256[:16]}/model.onnx")
    with model.open("r+b") as file:
        file.seek(1000)
        file.write(b"changed")
    assert isinstance(open_embedder("bundled", MODEL, tmp_path), SentenceTransformerEmbedder)


def test_both_ways_to_run_the_bundled_model_share_a_digest(cache: Path, tmp_path: Path) -> None:
    digests = {open_embedder("bundled", MODEL, folder).digest for folder in (cache, tmp_path)}
    assert len(digests) == 1


def test_weights_that_are_not_the_pinned_ones_are_refused() -> None:
    other = ModelRecipe(MODEL.name, MODEL.package, 384, 256, "0" * 64, MODEL.tokenizer_sha256)
    with pytest.raises(ModelError, match="not the pinned"):
        bundled_model(other)


def test_an_adapter_that_is_not_the_pinned_one_is_refused() -> None:
    with pytest.raises(ModelError, match=r"adapter\.safetensors is not the pinned file"):
        bundled_model(replace(MODEL, adapters=(replace(MODEL.adapters[0], sha256="0" * 64),)))


def test_the_adapter_changes_the_vectors_and_can_be_left_out(cache: Path) -> None:
    adapted = open_embedder("bundled", MODEL, cache)
    bare = replace(MODEL, adapters=())
    plain = open_embedder("bundled", bare, cache / "none")
    assert plain.digest != adapted.digest
    assert (plain.embed(TEXTS) * adapted.embed(TEXTS)).sum(axis=1).max() < 0.99


def test_what_is_asked_has_an_encoder_of_its_own(cache: Path) -> None:
    prepare_embedder("bundled", RECIPE.questions, cache)
    both = open_embedders("bundled", RECIPE, cache)
    assert isinstance(both.questions, OnnxEmbedder)
    assert both.questions.digest.startswith(f"{both.texts.digest}+")
    cosines = (both.texts.embed(TEXTS) * both.questions.embed(TEXTS)).sum(axis=1)
    assert cosines.min() > 0.3 and cosines.max() < 0.999


def test_another_model_embeds_what_is_asked_as_it_embeds_texts(tmp_path: Path) -> None:
    folder = tmp_path / "other-model"
    shutil.copytree(bundled_model(MODEL), folder)
    both = open_embedders(str(folder), RECIPE, tmp_path)
    assert both.questions is both.texts


def test_the_pinned_digest_is_that_of_the_published_file() -> None:
    published = "53aa51172d142c89d9012cce15ae4d6cc0ca6895895114379cacb4fab128d9db"
    assert MODEL.weights_sha256 == published
    assert file_sha256(bundled_model(MODEL) / "model.safetensors") == published


def test_another_model_by_path_has_another_digest(cache: Path, tmp_path: Path) -> None:
    folder = tmp_path / "other-model"
    shutil.copytree(bundled_model(MODEL), folder)
    embedder = open_embedder(str(folder), MODEL, tmp_path)
    assert embedder.embed(["x"]).shape == (1, 384)
    assert embedder.digest != open_embedder("bundled", MODEL, cache).digest


def test_a_model_that_is_not_there_is_named(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("huggingface_hub.constants.HF_HUB_OFFLINE", True)
    with pytest.raises(ModelError, match="embedding_model"):
        open_embedder(str(tmp_path / "absent"), MODEL, tmp_path)
