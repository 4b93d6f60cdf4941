"""The workbench: ``python -m evals COMMAND``.

    corpus      compare the corpus with the sources it digests
    lock        write index/manifest.json, the lock of corpus and recipe
    run         ask a question set, note every answer, print the figures
    compare     compare two runs; fails on a regression beyond the tolerance
    report      the figures of a run as Markdown and as one HTML page
    keep        keep the figures of a run for the README
    follow-ups  ask follow-up questions in three ways, with a model in four, print the figures
    code        ask questions that carry code, with it and alone, print the figures
    readme      rewrite what is generated of README.md and docs
    adapt       train the adapter of the embedding model on the corpus
    adapt-questions
                train the further adapter of what is asked
    fit         fit ranking and abstention on development questions
    checker     precision and recall of the checker of model answers
    faults      how many faults of a language model reach the user
    pool        write sheets of what several rankings found, for relevance judgements
    judged      put the judgements of such sheets into the question set
    judge       let a language model judge the first statements of a run
    attacks     whether orders planted in sources and documents change what is said

`python -m evals.peers` and `python -m evals.bench` compare with other pipelines.
"""

from __future__ import annotations

import argparse
import itertools
import json
import os
import sys
import tempfile
from collections import Counter
from collections.abc import Callable
from dataclasses import replace
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Any

from rich.progress import Progress

from assistant import Assistant, AssistantError, Reply, Settings, load_settings
from assistant.documents import Corpus, load_corpus, parse_document
from assistant.embedding import bundled_model, file_sha256, load_model, open_embedder
from assistant.errors import CorpusError
from assistant.generation import ChatModel, open_model
from assistant.index.manifest import recipe_sha256
from assistant.index.rows import corpus_rows
from assistant.interfaces.cli.parts import progress_bar
from assistant.recipe import ModelRecipe, read_recipe
from assistant.taxonomy import load_taxonomy
from evals import NO_LIBRARY, attacks, checker, faults, fit, follow_ups, readme, report
from evals.compare import compare
from evals.corpus_check import check_corpus, read_allowed
from evals.judge import ModelJudge, compare_judges
from evals.pooling import Grades, JudgementError, judged, read_judgements, sheet
from evals.questions import EvalQuestion, QuestionSetError, check_against, load_questions
from evals.recorded import PREFIX, MissingReplies, Recorded
from evals.run import ask_in_context, run_questions
from evals.snippets import load_snippets, markdown, run_snippets
from evals.summary import ResultError, per_question, read_result, summarise

if TYPE_CHECKING:
    from sentence_transformers import SentenceTransformer

ROOT = Path(__file__).resolve().parent.parent
QUESTIONS = ROOT / "evals" / "questions"
SNIPPETS = ROOT / "evals" / "code"


def snapshots_folder() -> Path | None:
    """The folder of source snapshots: ``SOURCES_DIR``, else ``../shared/sources``, else None."""
    folder = Path(os.environ.get("SOURCES_DIR", ROOT.parent / "shared" / "sources"))
    return folder if folder.is_dir() else None


def corpus(arguments: argparse.Namespace) -> int:
    """Check the corpus, or only the named files; print findings and counts."""
    taxonomy = load_taxonomy(ROOT / "corpus" / "taxonomy.yaml")
    folder = ROOT / "corpus" / "sources"
    documents = []
    broken = 0
    for path in arguments.files or sorted(folder.glob("*.md")):
        try:
            documents.append(parse_document(path, taxonomy))
        except CorpusError as error:
            broken += 1
            print(error)
    allowed = read_allowed(ROOT / "evals" / "corpus_allowed.tsv")
    found = check_corpus(tuple(documents), folder, snapshots_folder(), allowed)
    for failure in found.failures:
        print(failure)
    provisions = sum(len(document.provisions) for document in documents)
    kinds = dict.fromkeys(taxonomy.kinds, 0)
    for document in documents:
        kinds[document.source.kind] += len(document.provisions)
    print(f"{len(documents)} sources, {provisions} provisions: {_counts(kinds)}")
    share = len(found.unchecked) / max(provisions, 1)
    print(f"checked: {_counts(found.checked)}")
    failed = len(found.failures) + broken
    print(f"unchecked {len(found.unchecked)} ({share:.1%}), failed {failed}")
    return 1 if failed else 0


def _counts(counts: dict[str, int]) -> str:
    return ", ".join(f"{name} {count}" for name, count in counts.items())


def lock(arguments: argparse.Namespace) -> int:
    """Write index/manifest.json: what an index of this checkout is made of."""
    settings = Settings()
    shipped = load_corpus(settings.corpus)
    data = locked(shipped, settings.recipe)
    path = settings.recipe / "manifest.json"
    path.write_text(json.dumps(data, indent=2) + "\n", encoding="utf-8")
    print(f"{path}: {shipped.version}")
    return 0


def locked(shipped: Corpus, recipe: Path) -> dict[str, Any]:
    """The lock's contents: hashes of corpus and recipe, the model, and counts."""
    rows = Counter(row.part for row in corpus_rows(shipped, read_recipe(recipe).max_chars))
    return {
        "corpus": shipped.version,
        "corpus_sha256": shipped.sha256,
        "recipe_sha256": recipe_sha256(recipe),
        "model": read_recipe(recipe).model.name,
        "sources": len(shipped.documents),
        "provisions": len(shipped.provisions),
        "links": len(shipped.links),
        "rows": dict(sorted(rows.items())),
    }


def run(arguments: argparse.Namespace) -> int:
    """Ask every question of the files; write rows, table and figures into the output folder."""
    questions = [question for path in arguments.questions for question in load_questions(path)]
    model = _model(arguments) if arguments.model else None
    with progress_bar() as advance, _assistant(arguments.corpus, model, advance) as assistant:
        check_against(questions, assistant.corpus)
        if isinstance(model, Recorded):
            model.rehearse(partial(ask_in_context, assistant), questions)
        rows = run_questions(
            assistant, questions, arguments.out / "rows.jsonl", partial(advance, "Asking")
        )
        version = assistant.corpus.version
    table = per_question(questions, rows)
    figures = summarise([row for row in table if row["kind"] != "follow-up"])
    result = {"corpus": version, "questions": len(questions), "figures": figures, "table": table}
    (arguments.out / "result.json").write_text(json.dumps(result, indent=1), encoding="utf-8")
    print(report.markdown(figures))
    return 0


def _assistant(
    corpus_folder: Path | None, model: ChatModel | None, progress: Callable[[str, int, int], None]
) -> Assistant:
    settings = Settings(library=NO_LIBRARY)
    if corpus_folder is not None:
        cache = corpus_folder.resolve().parent / f".{corpus_folder.name}-index"
        settings = load_settings(corpus=corpus_folder, cache=cache, library=NO_LIBRARY)
    settings = replace(settings, model=model.name) if model else settings
    assistant = Assistant.open(settings, progress=progress)
    if model:
        assistant._models[model.name] = model
    return assistant


def keep(arguments: argparse.Namespace) -> int:
    """Keep the figures of a run under evals/results, for the README."""
    result = read_result(arguments.result)
    kept = {
        "title": arguments.title,
        "corpus": result["corpus"],
        "ranking_sha256": file_sha256(Settings().recipe / "ranking.json"),
        "questions": result["questions"],
        "figures": result["figures"],
    }
    path = readme.RESULTS / f"{arguments.name}.json"
    path.write_text(json.dumps(kept, indent=1) + "\n", encoding="utf-8")
    return 0


def code(arguments: argparse.Namespace) -> int:
    """Ask the questions that carry code; keep the figures of both sets when none is named."""
    paths = arguments.snippets or [SNIPPETS / "dev.jsonl", SNIPPETS / "held_out.jsonl"]
    kept = {}
    with Assistant.open(Settings(library=NO_LIBRARY)) as assistant:
        for path in paths:
            result = run_snippets(assistant, load_snippets(path))
            kept[path.stem] = {"corpus": assistant.corpus.version, **result}
            print(f"{path.stem}: {result['snippets']} snippets\n{markdown(result['figures'])}")
    if not arguments.snippets:
        text = json.dumps(kept, indent=1, ensure_ascii=False) + "\n"
        (readme.RESULTS / "code.json").write_text(text, encoding="utf-8")
    return 0


def measure_follow_ups(arguments: argparse.Namespace) -> int:
    """Print how follow-ups are answered, and alone and joined; with --keep, for the README too."""
    questions = load_questions(arguments.questions)
    model = _model(arguments) if arguments.model else None
    ways = dict(follow_ups.WAYS)
    replies: list[Reply] = []
    with Assistant.open(Settings(library=NO_LIBRARY)) as assistant:
        if isinstance(model, Recorded):
            rewritten = follow_ups.rewritten_by(model, [])
            model.rehearse(partial(rewritten, assistant), questions)
        if model:
            ways[follow_ups.REWRITTEN] = follow_ups.rewritten_by(model, replies)
        figures = follow_ups.measure(assistant, questions, ways)
        kept = {
            "corpus": assistant.corpus.version,
            "ranking_sha256": file_sha256(assistant.settings.recipe / "ranking.json"),
            "questions": len(questions),
            "figures": figures,
        }
    print(follow_ups.markdown(figures))
    if replies:
        refused = [reply for reply in replies if reply.failure]
        print(f"The model was asked {len(replies)} times; the rules' reading was kept {len(refused)} times.")  # fmt: skip
        for reply in refused:
            print(f"  the model {reply.failure}: {json.dumps(reply.text, ensure_ascii=False)}")
    if arguments.keep:
        path = readme.RESULTS / "follow_ups.json"
        path.write_text(json.dumps(kept, indent=1) + "\n", encoding="utf-8")
    return 0


def update_readme(arguments: argparse.Namespace) -> int:
    """Rewrite the generated parts of README.md."""
    readme.update()
    return 0


def compare_runs(arguments: argparse.Namespace) -> int:
    """Print the differences of two results; 1 if one regressed."""
    old, new = (read_result(path)["table"] for path in (arguments.old, arguments.new))
    before, after = ({row["id"] for row in table} for table in (old, new))
    print(f"questions: {len(before & after)} in both runs, {len(before - after)} in the old alone, {len(after - before)} in the new alone")  # fmt: skip
    failed = False
    for difference in compare(old, new):
        failed |= difference.regressed
        verdict = "REGRESSED" if difference.regressed else "ok"
        interval = f"{difference.low:+.3f} to {difference.high:+.3f}"
        print(f"{difference.measure}: {difference.change:+.4f} ({interval}) {verdict}")
        if difference.regressed:
            print(f"  lost: {', '.join(difference.lost)}")
    return 1 if failed else 0


def make_report(arguments: argparse.Namespace) -> int:
    """Write report.html and report.md beside a result."""
    result = read_result(arguments.result)
    title = f"{result['questions']} questions on corpus {result['corpus']}"
    page = report.html(title, result["figures"], result["table"])
    arguments.result.with_name("report.html").write_text(page, encoding="utf-8")
    text = report.markdown(result["figures"])
    arguments.result.with_name("report.md").write_text(text, encoding="utf-8")
    print(text)
    return 0


def judge(arguments: argparse.Namespace) -> int:
    """Let a language model judge the first statements of a run; print its verdicts as JSON."""
    model = _model(arguments)
    result = read_result(arguments.run_folder / "result.json")
    lines = (arguments.run_folder / "rows.jsonl").read_text("utf-8").splitlines()[1:]
    by_id = {row["id"]: row for row in map(json.loads, lines)}
    rows = [by_id[entry["id"]] for entry in result["table"]]
    with progress_bar() as advance:
        step = partial(advance, "Judging")
        found = compare_judges(result["table"], rows, ModelJudge(model), step)
    print(json.dumps({"model": model.name, **found}, indent=2))
    return 0


def _model(arguments: argparse.Namespace) -> ChatModel:
    if arguments.model.startswith(PREFIX):
        return Recorded(Path(arguments.model.removeprefix(PREFIX)))
    settings = load_settings(model=arguments.model, model_base_url=arguments.base_url)
    return open_model(settings.model, settings.model_base_url, settings.model_timeout_s)


def adapt(arguments: argparse.Namespace) -> int:
    """Train index/adapter.safetensors; its digest, which is printed, belongs in recipe.toml."""
    from evals.adapt import train

    settings = Settings()
    recipe = read_recipe(settings.recipe)
    corpus = load_corpus(settings.corpus)
    path = settings.recipe / "adapter.safetensors"
    with Progress() as bar:
        task = bar.add_task("Training", total=None)
        train(
            _trainable(replace(recipe.model, adapters=())),
            corpus,
            recipe.max_chars,
            path,
            lambda done, total: bar.update(task, completed=done, total=total),
        )
    print(f'sha256 = "{file_sha256(path)}"')
    return 0


def adapt_questions(arguments: argparse.Namespace) -> int:
    """Train index/question-adapter.safetensors on today's index; prints its digest for recipe.toml."""
    from evals.adapt_questions import train_questions

    settings = Settings(library=NO_LIBRARY)
    path = settings.recipe / "question-adapter.safetensors"
    judged = load_questions(ROOT / "evals" / "questions" / "training.jsonl")
    with Assistant.open(settings) as assistant, Progress() as bar:
        task = bar.add_task("Training", total=None)
        train_questions(
            _trainable(read_recipe(settings.recipe).model),
            assistant.index,
            judged,
            path,
            lambda done, total: bar.update(task, completed=done, total=total),
        )
    print(f'sha256 = "{file_sha256(path)}"')
    return 0


def _trainable(recipe: ModelRecipe) -> SentenceTransformer:
    """The bundled model with the adapters of a recipe, in torch."""
    return load_model(str(bundled_model(recipe)), recipe.adapters)


def fit_ranking(arguments: argparse.Namespace) -> int:
    """Fit ranking.json on development questions: first the weights, then abstention on them."""
    questions: list[EvalQuestion] = load_questions(arguments.questions)
    path = ROOT / "index" / "ranking.json"
    with Assistant.open(Settings(library=NO_LIBRARY)) as assistant:
        weights = fit.fit_weights(fit.signals_of(assistant, questions))
    rounded = {name: round(value, 3) for name, value in weights.items()}
    rounded["superseded"] = min(rounded["superseded"], -0.5)
    fit.write_ranking(path, weights=rounded)
    with Assistant.open(Settings(library=NO_LIBRARY)) as assistant:
        relevance = fit.fit_relevance(assistant, questions)
        further = [
            question
            for name in ("pairs.jsonl", "situations.jsonl")
            for question in load_questions(QUESTIONS / name)
        ]
        abstention = fit.fit_abstention(assistant, questions, further, arguments.refused)
    checked = abstention.pop("cross-validated")
    fit.write_ranking(path, relevance=relevance, abstention=abstention)
    print(json.dumps({"weights": rounded, "cross-validated": checked}, indent=2))
    return 0


def check_checker(arguments: argparse.Namespace) -> int:
    """Print the checker's figures and keep them, or the thresholds that development pairs give."""
    settings = Settings()
    model = read_recipe(settings.recipe).model
    embed = checker.remembering(open_embedder(settings.embedding_model, model, settings.cache))
    if arguments.fit:
        print(checker.fit(embed))
        return 0
    result = {
        split: checker.figures(checker.passed(checker.load_pairs(split), embed))
        for split in ("dev", "held-out")
    } | {"mechanical": checker.mechanical(load_corpus(settings.corpus))}
    path = readme.RESULTS / "checker.json"
    path.write_text(json.dumps(result, indent=1) + "\n", encoding="utf-8")
    print(checker.markdown(result))
    return 0


def plant_faults(arguments: argparse.Namespace) -> int:
    """Let a scripted model err and break, print what reached the user, and keep it."""
    trials = itertools.chain(faults.written(), faults.broken())
    rows = faults.table(faults.carried_out(trials, load_settings(library=NO_LIBRARY)))
    path = readme.RESULTS / "faults.json"
    path.write_text(json.dumps(rows, indent=1) + "\n", encoding="utf-8")
    print(faults.markdown(rows))
    return 0


def plant_orders(arguments: argparse.Namespace) -> int:
    """Plant orders to an assistant in sources and documents, print what they did, and keep it."""
    settings, payloads = load_settings(library=NO_LIBRARY), attacks.load_payloads()
    rows = {}
    for place, plant in {"sources": attacks.attack, "documents": attacks.attack_library}.items():
        with tempfile.TemporaryDirectory() as folder:
            rows[place] = attacks.table(plant(payloads, settings, Path(folder)))
    path = readme.RESULTS / "attacks.json"
    path.write_text(json.dumps(rows, indent=1) + "\n", encoding="utf-8")
    print(attacks.markdown(rows))
    return 0


def write_pools(arguments: argparse.Namespace) -> int:
    """Write the sheets that a judge is given, some questions each."""
    peers = json.loads(arguments.rankings.read_text("utf-8"))["peers"]
    rankings = [{row["id"]: row["top"] for row in peer["rows"]} for peer in peers]
    ranked = {question for ranking in rankings for question in ranking}
    questions = [
        entry
        for entry in load_questions(arguments.questions)
        if entry.answerable and entry.id in ranked
    ]
    corpus = load_corpus(load_settings().corpus)
    arguments.out.mkdir(parents=True, exist_ok=True)
    for start in range(0, len(questions), arguments.size):
        path = arguments.out / f"{start // arguments.size + 1:03}.md"
        some = questions[start : start + arguments.size]
        path.write_text(sheet(some, rankings, arguments.depth, corpus), encoding="utf-8")
        print(path)
    return 0


def put_judgements(arguments: argparse.Namespace) -> int:
    """Rewrite the gold of a question set by the judgements beside the sheets, NNN.tsv to NNN.md."""
    grades: Grades = {}
    for path in sorted(arguments.sheets.glob("*.tsv")):
        grades.update(
            read_judgements(path.with_suffix(".md").read_text("utf-8"), path.read_text("utf-8"))
        )
    questions = load_questions(arguments.questions)
    rows = [judged(question, grades).model_dump(exclude_unset=True) for question in questions]
    lines = [json.dumps(row, ensure_ascii=False) for row in rows]
    arguments.questions.write_text("\n".join(lines) + "\n", encoding="utf-8")
    print(f"{len(grades)} questions judged in {arguments.questions}")
    return 0


def _takes_model(command: argparse.ArgumentParser, required: bool = False) -> None:
    command.add_argument(
        "--model", required=required, help="provider:name, or recorded:FILE of replies"
    )
    command.add_argument("--base-url", help="address of the model's server")


def main() -> int:
    """Parse the command line and run one command; 2 for a question set that cannot be read."""
    parser = argparse.ArgumentParser(
        prog="python -m evals", description=__doc__, formatter_class=argparse.RawTextHelpFormatter
    )
    commands = parser.add_subparsers(required=True)
    command = commands.add_parser("corpus")
    command.add_argument("files", nargs="*", type=Path, help="corpus files (default: all)")
    command.set_defaults(run=corpus)
    command = commands.add_parser("lock")
    command.set_defaults(run=lock)
    command = commands.add_parser("run")
    command.add_argument("questions", nargs="+", type=Path, help="JSON Lines files of questions")
    command.add_argument("--corpus", type=Path, help="a corpus folder of your own")
    command.add_argument("--out", type=Path, default=ROOT / "evals" / "runs" / "latest")
    _takes_model(command)
    command.set_defaults(run=run)
    command = commands.add_parser("compare")
    command.add_argument("old", type=Path, help="result.json of the run to compare with")
    command.add_argument("new", type=Path, help="result.json of the run to judge")
    command.set_defaults(run=compare_runs)
    command = commands.add_parser("report")
    command.add_argument("result", type=Path, help="result.json of a run")
    command.set_defaults(run=make_report)
    command = commands.add_parser("keep")
    command.add_argument("result", type=Path, help="result.json of a run")
    command.add_argument("name", help="the name to keep them under")
    command.add_argument("title", help="what the table is headed with")
    command.set_defaults(run=keep)
    command = commands.add_parser("code")
    command.add_argument("snippets", nargs="*", type=Path, help="JSON Lines files of snippets (default: both sets, kept)")  # fmt: skip
    command.set_defaults(run=code)
    command = commands.add_parser("follow-ups")
    command.add_argument("questions", nargs="?", type=Path, default=QUESTIONS / "follow_ups.jsonl")
    command.add_argument("--keep", action="store_true", help="keep the figures for the README")
    _takes_model(command)
    command.set_defaults(run=measure_follow_ups)
    command = commands.add_parser("readme")
    command.set_defaults(run=update_readme)
    command = commands.add_parser("pool")
    command.add_argument("questions", type=Path)
    command.add_argument(
        "--rankings", type=Path, required=True, help="what evals.peers wrote to --out"
    )
    command.add_argument("--depth", type=int, default=10, help="how many of each ranking")
    command.add_argument("--size", type=int, default=25, help="questions a sheet")
    command.add_argument("--out", type=Path, required=True, help="folder for the sheets")
    command.set_defaults(run=write_pools)
    command = commands.add_parser("judged")
    command.add_argument("questions", type=Path)
    command.add_argument(
        "sheets", type=Path, help="folder of sheets, NNN.md, and judgements, NNN.tsv"
    )
    command.set_defaults(run=put_judgements)
    command = commands.add_parser("judge")
    command.add_argument("run_folder", type=Path, metavar="RUN", help="folder of a run")
    _takes_model(command, required=True)
    command.set_defaults(run=judge)
    command = commands.add_parser("adapt")
    command.set_defaults(run=adapt)
    command = commands.add_parser("adapt-questions")
    command.set_defaults(run=adapt_questions)
    command = commands.add_parser("fit")
    command.add_argument("--questions", type=Path, default=QUESTIONS / "dev.jsonl")
    command.add_argument("--refused", type=float, default=0.04, help="share of answerable questions refused")  # fmt: skip
    command.set_defaults(run=fit_ranking)
    command = commands.add_parser("checker")
    command.add_argument("--fit", action="store_true", help="print the fitted thresholds")
    command.set_defaults(run=check_checker)
    command = commands.add_parser("faults")
    command.set_defaults(run=plant_faults)
    command = commands.add_parser("attacks")
    command.set_defaults(run=plant_orders)
    arguments = parser.parse_args()
    try:
        return int(arguments.run(arguments))
    except (AssistantError, JudgementError, MissingReplies, QuestionSetError, ResultError) as error:
        print(error, file=sys.stderr)
        return 2
    except KeyboardInterrupt:
        print(
            "Interrupted. `run` goes on where it stopped when it is given again.", file=sys.stderr
        )
        return 130


if __name__ == "__main__":
    sys.exit(main())
