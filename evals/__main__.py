"""``python -m evals COMMAND``: the workbench."""

from __future__ import annotations

import argparse
import os
import sys
from pathlib import Path

from assistant.documents import parse_document
from assistant.errors import CorpusError
from assistant.taxonomy import load_taxonomy
from evals.corpus_check import check_corpus, read_allowed

ROOT = Path(__file__).resolve().parent.parent


def snapshots_folder() -> Path | None:
    """The folder of source snapshots: ``SOURCES_DIR``, else ``../shared/sources``, else None."""
    folder = Path(os.environ.get("SOURCES_DIR", ROOT.parent / "shared" / "sources"))
    return folder if folder.is_dir() else None


def corpus(arguments: argparse.Namespace) -> int:
    """Check the corpus, or only the named files; print findings and counts."""
    taxonomy = load_taxonomy(ROOT / "corpus" / "taxonomy.yaml")
    folder = ROOT / "corpus" / "sources"
    paths = arguments.files or sorted(folder.glob("*.md"))
    documents = []
    broken = 0
    for path in paths:
        try:
            documents.append(parse_document(path, taxonomy))
        except CorpusError as error:
            broken += 1
            print(error)
    allowed = read_allowed(ROOT / "evals" / "corpus_allowed.tsv")
    report = check_corpus(tuple(documents), folder, snapshots_folder(), allowed)
    for failure in report.failures:
        print(failure)
    provisions = sum(len(document.provisions) for document in documents)
    checks = ", ".join(f"{name} {count}" for name, count in report.checked.items())
    print(f"{len(documents)} sources, {provisions} provisions; checked: {checks}")
    print(f"unchecked {len(report.unchecked)}, failed {len(report.failures) + broken}")
    return 1 if report.failures or broken else 0


def main() -> int:
    """Parse the command line and run one command."""
    parser = argparse.ArgumentParser(prog="python -m evals", description=__doc__)
    commands = parser.add_subparsers(required=True)
    check = commands.add_parser("corpus", help="compare the corpus with the sources it digests")
    check.add_argument("files", nargs="*", type=Path, help="corpus files (default: all)")
    check.set_defaults(run=corpus)
    arguments = parser.parse_args()
    return int(arguments.run(arguments))


if __name__ == "__main__":
    sys.exit(main())
