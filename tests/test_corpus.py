"""The shipped corpus: what must be in it, what its sources' kinds imply, and that it is faithful."""

from __future__ import annotations

import re
from collections import Counter

import pytest

from assistant.documents import Corpus, load_corpus
from assistant.types import Provision
from evals.__main__ import main, snapshots_folder
from evals.corpus_check import Allowed, Report, check_corpus, read_allowed
from tests.conftest import ROOT

SOURCES = ROOT / "corpus" / "sources"
BINDING_OF_KIND = {
    "law": "binding",
    "standard": "voluntary",
    "guideline": "voluntary",
    "tool-doc": "voluntary",
    "study": "evidence",
    "incident": "evidence",
}
# NIST AI 100-1: the last subcategory of each category of each function, category 1 first.
NIST_LAST = {
    "GOVERN": (7, 3, 2, 3, 2, 2),
    "MAP": (6, 3, 5, 2, 2),
    "MEASURE": (3, 13, 3, 3),
    "MANAGE": (4, 4, 2, 3),
}
NIST = [
    f"{function} {category}.{number}"
    for function, lasts in NIST_LAST.items()
    for category, last in enumerate(lasts, start=1)
    for number in range(1, last + 1)
]
AI_ACT = (*range(3, 7), *range(9, 16), 25, 26, 27, 50, 53, 55, 72, 73, 99, 113)
NAMED = [
    "pytorch-security",
    "transformers-security",
    "langchain-security",
    "llama-cpp-security",
    "ollama-security",
    "vllm-security",
    "huggingface-hub-docs",
    "cosai-supply-chain",
    "cosai-defenders",
    "mcp-security",
    "study-2503-19444",
]
# As the consolidated text of 27 July 2026 has it: bans and literacy, general-purpose models,
# the general date, the new bans, Annex III systems, Annex I systems.
IN_FORCE_FROM = {
    "Art. 5(1)(a)": "2025-02-02",
    "Art. 4(1)": "2025-02-02",
    "Art. 53(1)": "2025-08-02",
    "Art. 50(1)": "2026-08-02",
    "Art. 5(1)(ba)": "2026-12-02",
    "Art. 9(1)": "2027-12-02",
    "Art. 26(5)": "2027-12-02",
    "Annex III(4)": "2027-12-02",
    "Art. 6(1)": "2028-08-02",
}


@pytest.fixture(scope="module")
def corpus() -> Corpus:
    """The corpus as shipped."""
    return load_corpus(ROOT / "corpus")


@pytest.fixture(scope="module")
def allowed() -> tuple[Allowed, ...]:
    """The findings that were looked at and are right."""
    return read_allowed(ROOT / "evals" / "corpus_allowed.tsv")


@pytest.fixture(scope="module")
def compared(corpus: Corpus, allowed: tuple[Allowed, ...]) -> Report:
    """The corpus compared with the snapshots of its sources."""
    folder = snapshots_folder()
    if folder is None:
        pytest.skip("the source snapshots are not here; SOURCES_DIR names their folder")
    return check_corpus(corpus.documents, SOURCES, folder, allowed)


def locators(corpus: Corpus, source: str) -> list[str]:
    return [provision.locator for provision in corpus.by_source[source].provisions]


def of_kind(corpus: Corpus, kind: str) -> list[Provision]:
    return [entry for entry in corpus.provisions if kind_of(corpus, entry) == kind]


def kind_of(corpus: Corpus, provision: Provision) -> str:
    return corpus.by_source[provision.source_id].source.kind


def text_of(corpus: Corpus, provision: Provision) -> str:
    return corpus.by_source[provision.source_id].text[provision.start : provision.stop]


# Size


def test_size(corpus: Corpus) -> None:
    assert len(corpus.documents) >= 45
    assert len(corpus.provisions) >= 1500
    assert len(of_kind(corpus, "incident")) >= 200
    assert len(of_kind(corpus, "study")) >= 30


def test_every_kind_has_sources(corpus: Corpus) -> None:
    assert {document.source.kind for document in corpus.documents} == set(corpus.taxonomy.kinds)


def test_every_phase_is_covered(corpus: Corpus) -> None:
    counts = Counter(phase for entry in corpus.provisions for phase in entry.phases)
    assert set(counts) == set(corpus.taxonomy.phases)
    assert min(counts.values()) >= 25


def test_the_phases_before_building_are_covered_best(corpus: Corpus) -> None:
    mentions = Counter(phase for entry in corpus.provisions for phase in entry.phases)
    leading = Counter(entry.phases[0] for entry in corpus.provisions)
    assert mentions.most_common(1)[0][0] == "preparation"
    assert leading.most_common(1)[0][0] == "preparation"
    assert "model-selection" in {phase for phase, _ in leading.most_common(3)}


def test_empty_cells_have_a_reason(corpus: Corpus) -> None:
    filled = {
        (phase, concern)
        for entry in corpus.provisions
        for phase in entry.phases
        for concern in entry.concerns
    }
    cells = {
        (phase, concern) for phase in corpus.taxonomy.phases for concern in corpus.taxonomy.concerns
    }
    readme = (ROOT / "corpus" / "README.md").read_text("utf-8")
    chapter = readme.partition("\n## Empty cells\n")[2].partition("\n## ")[0]
    reasons = {
        (phase, concern): " ".join(reason.split())
        for phase, concern, reason in re.findall(
            r"^- (\S+) × ([^\s:]+): (.+?)(?=\n- |\n\n|\Z)", chapter, re.M | re.S
        )
    }
    assert set(reasons) == cells - filled
    assert all(len(reason.split()) >= 8 for reason in reasons.values())


# Identifiers


def test_all_subcategories_of_the_nist_ai_rmf(corpus: Corpus) -> None:
    assert len(NIST) == 72
    assert [name for name in NIST if f"nist-ai-rmf#{name}" not in corpus.by_id] == []
    pattern = re.compile(rf"(?:{'|'.join(NIST_LAST)}) \d+\.\d+")
    found = [name for name in locators(corpus, "nist-ai-rmf") if pattern.fullmatch(name)]
    assert sorted(found) == sorted(NIST)


@pytest.mark.parametrize(
    ("source", "pattern", "count"),
    [
        ("nist-ai-600-1", r"(?:GV|MP|MS|MG)-\d\.\d{1,2}-\d{3}", 212),
        ("owasp-aisvs", r"\d{1,2}\.\d{1,2}\.\d{1,2}", 191),
        ("owasp-llm-top10-2025", r"LLM(?:0[1-9]|10):2025", 10),
        ("owasp-ml-top10", r"ML(?:0[1-9]|10):2023", 10),
    ],
)
def test_every_numbered_item_of_a_source(
    corpus: Corpus, source: str, pattern: str, count: int
) -> None:
    assert sum(bool(re.fullmatch(pattern, name)) for name in locators(corpus, source)) == count


@pytest.mark.parametrize("article", AI_ACT)
def test_article_of_the_ai_act(corpus: Corpus, article: int) -> None:
    assert any(
        re.fullmatch(rf"Art\. {article}(?:\(.*)?", name) for name in locators(corpus, "eu-ai-act")
    )


def test_annex_iii_of_the_ai_act(corpus: Corpus) -> None:
    areas = [f"Annex III({number})" for number in range(1, 9)]
    assert set(areas) <= set(locators(corpus, "eu-ai-act"))


@pytest.mark.parametrize("article", [22, 35])
def test_article_of_the_gdpr(corpus: Corpus, article: int) -> None:
    assert any(name.startswith(f"Art. {article}(") for name in locators(corpus, "eu-gdpr"))


@pytest.mark.parametrize("source", NAMED)
def test_named_source(corpus: Corpus, source: str) -> None:
    assert corpus.by_source[source].provisions


def test_the_study_of_the_proposal_is_the_one_meant(corpus: Corpus) -> None:
    source = corpus.by_source["study-2503-19444"].source
    assert "2503.19444" in source.url
    assert source.kind == "study"


# What law, guidance and evidence imply


def test_kind_decides_binding(corpus: Corpus) -> None:
    assert {
        document.source.id: document.source.binding
        for document in corpus.documents
        if document.source.binding != BINDING_OF_KIND[document.source.kind]
    } == {}


def test_law_says_from_when_it_applies_and_nothing_else_does(corpus: Corpus) -> None:
    for entry in corpus.provisions:
        dated = bool(entry.in_force_from)
        assert dated == (kind_of(corpus, entry) == "law"), entry.id
        if entry.in_force_from:
            assert re.fullmatch(r"\d{4}-\d\d-\d\d", entry.in_force_from), entry.id


def test_superseded_texts_name_a_current_source(corpus: Corpus) -> None:
    states = {(entry.source_id, entry.status) for entry in corpus.provisions}
    states |= {(document.source.id, document.source.status) for document in corpus.documents}
    assert ("owasp-llm-top10-2025", "superseded by owasp-llm-top10-2026") in states
    for source, status in states - {(source, "current") for source, _ in states}:
        if status == "draft":
            continue
        named = re.fullmatch(r"superseded by (\S+)", status)
        assert named, (source, status)
        assert corpus.by_source[named[1]].source.status == "current", (source, status)


def test_crosswalk_joins_provisions_that_exist_and_differ(corpus: Corpus) -> None:
    assert len(corpus.links) >= 1000
    for link in corpus.links:
        assert corpus.by_id[link.subject] is not corpus.by_id[link.object], link
        assert link.origin.strip(), link
    sources = {
        frozenset((corpus.by_id[link.subject].source_id, corpus.by_id[link.object].source_id))
        for link in corpus.links
    }
    assert frozenset(("owasp-llm-top10-2025", "owasp-llm-top10-2026")) in sources


@pytest.mark.parametrize(("locator", "date"), IN_FORCE_FROM.items())
def test_date_of_the_ai_act_after_the_amendment(corpus: Corpus, locator: str, date: str) -> None:
    assert corpus.by_id[f"eu-ai-act#{locator}"].in_force_from == date


def test_article_113_says_when_high_risk_duties_begin(corpus: Corpus) -> None:
    provisions = [
        entry
        for entry in corpus.by_source["eu-ai-act"].provisions
        if re.match(r"Art\. 113\b", entry.locator)
    ]
    for date in ("2 December 2027", "2 August 2028"):
        assert sum(date in text_of(corpus, entry) for entry in provisions) >= 2, date
    assert corpus.by_id["eu-ai-act#Art. 113(c)"].in_force_from == "2027-12-02"
    # The dates before the amendment are not given as the current ones.
    for entry in provisions:
        assert "2 August 2027" not in text_of(corpus, entry), entry.id


# Against the sources


def test_form_and_addresses_without_the_sources(
    corpus: Corpus, allowed: tuple[Allowed, ...]
) -> None:
    found = check_corpus(corpus.documents, SOURCES, None, allowed)
    assert found.failures == []
    total = len(corpus.provisions)
    assert found.checked == {"form": total, "url": total}
    assert found.unchecked == [entry.id for entry in corpus.provisions]


def test_every_provision_agrees_with_its_source(corpus: Corpus, compared: Report) -> None:
    assert compared.failures == []
    total = len(corpus.provisions)
    assert len(compared.unchecked) / total < 0.05
    for name in ("locator", "copied runs", "values"):
        assert compared.checked[name] == total - len(compared.unchecked)


def test_allowed_findings_belong_to_provisions(
    corpus: Corpus, allowed: tuple[Allowed, ...]
) -> None:
    assert allowed
    for entry in allowed:
        assert entry.provision_id in corpus.by_id, entry
        assert entry.reason.strip(), entry


def test_the_command_checks_a_named_file(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str], corpus: Corpus
) -> None:
    path = SOURCES / "pytorch-security.md"
    monkeypatch.setattr("sys.argv", ["evals", "corpus", str(path)])
    assert main() == 0
    lines = capsys.readouterr().out.splitlines()
    count = len(corpus.by_source["pytorch-security"].provisions)
    assert lines[0].startswith(f"1 sources, {count} provisions: law 0, ")
    assert lines[-1].endswith("failed 0")
