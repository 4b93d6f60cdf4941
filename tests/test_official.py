"""Fetching official texts, end to end against a server on this machine: what is taken, what is not."""

from __future__ import annotations

import hashlib
import http.server
import re
import socket
import ssl
import threading
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path

import pytest
import yaml

from assistant import Assistant, LibraryError, Settings
from assistant.documents import load_corpus
from assistant.index import build_index, open_index
from assistant.library import Fetcher, Library, Shelf, load_official
from assistant.library.official import OfficialFile, public_addresses
from assistant.ranking import load_ranking
from assistant.retrieval import Retriever
from evals.__main__ import snapshots_folder
from tests.conftest import ROOT, SMALL, HashEmbedder

TLS = Path(__file__).resolve().parent / "data" / "tls"
"""A certificate for official.test that only these tests trust."""
TEXT = b"# The rules\n\n" + b"A rule of the official text is that lasers are off. " * 4000


class Site(http.server.BaseHTTPRequestHandler):
    """Serves TEXT at /text.md, in whole or from an offset, and misbehaves elsewhere."""

    protocol_version = "HTTP/1.1"
    content = TEXT
    asked: list[tuple[str, str]] = []  # noqa: RUF012

    def log_message(self, *_: object) -> None:
        """Say nothing."""

    def do_GET(self) -> None:
        self.asked.append((self.path, self.headers.get("Range", "")))
        body, status, headers = self.content, 200, {}
        if self.path.startswith("/moved"):
            status, headers, body = 302, {"Location": "https://elsewhere.test/text.md"}, b""
        elif self.path.startswith("/absent"):
            status, body = 404, b"no"
        elif self.path.startswith("/cut") and "Range" not in self.headers:
            self.send_response(200)
            self.send_header("Content-Length", str(len(body)))
            self.end_headers()
            self.wfile.write(body[: len(body) // 2])
            self.close_connection = True
            return
        elif match := re.fullmatch(r"bytes=(\d+)-", self.headers.get("Range", "")):
            begin = int(match[1])
            status, body = 206, self.content[begin:]
            headers = {"Content-Range": f"bytes {begin}-{len(TEXT) - 1}/{len(TEXT)}"}
        self.send_response(status)
        for name, value in headers.items():
            self.send_header(name, value)
        self.send_header("Content-Length", str(len(body)))
        self.end_headers()
        self.wfile.write(body)


class Server(http.server.ThreadingHTTPServer):
    """A server that says nothing of clients that hang up."""

    def handle_error(self, *_: object) -> None:
        """Say nothing."""


@pytest.fixture
def site() -> Iterator[tuple[type[Site], int]]:
    """The server's handler, whose content a test may change, and its port."""
    handler = type("ThisSite", (Site,), {"asked": []})
    server = Server(("127.0.0.1", 0), handler)
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.load_cert_chain(TLS / "certificate.pem", TLS / "key.pem")
    server.socket = context.wrap_socket(server.socket, server_side=True)
    thread = threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.01})
    thread.start()
    yield handler, server.server_address[1]
    server.shutdown()
    thread.join()
    server.server_close()


@pytest.fixture
def fetcher(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Fetcher:
    """A fetcher that finds every host on this machine and trusts the test's certificate."""
    for name in ("HTTPS_PROXY", "https_proxy"):
        monkeypatch.delenv(name, raising=False)
    return Fetcher(
        tmp_path / "official",
        addresses=lambda host, port: ["127.0.0.1"],
        tls=ssl.create_default_context(cafile=str(TLS / "certificate.pem")),
    )


def file(port: int, path: str = "text.md", content: bytes = TEXT) -> OfficialFile:
    digest = hashlib.sha256(content).hexdigest()
    return OfficialFile("ex-law", f"https://official.test:{port}/{path}", digest)


def test_a_file_is_fetched_once_and_compared_with_what_was_reviewed(
    site: tuple[type[Site], int], fetcher: Fetcher
) -> None:
    handler, port = site
    seen: list[tuple[str, int, int]] = []
    (first,) = fetcher.fetch([file(port)], lambda *step: seen.append(step))
    assert (first.state, first.path.read_bytes()) == ("fetched", TEXT)
    assert seen[-1] == ("ex-law.text.md", len(TEXT), len(TEXT)) and len(seen) > 1
    assert fetcher.fetch([file(port)])[0].state == "unchanged"
    assert len(handler.asked) == 1
    (changed,) = fetcher.fetch([file(port, content=b"as reviewed")])
    assert changed.state == "changed" and "something else than what was reviewed" in changed.detail
    assert changed.path.read_bytes() == TEXT


def test_what_varies_is_left_out(site: tuple[type[Site], int], fetcher: Fetcher) -> None:
    handler, port = site
    digest = hashlib.sha256(b"<p>Lasers are off.").hexdigest()
    law = OfficialFile(
        "ex-law", f"https://official.test:{port}/HTML/?uri=CELEX:1", digest, "1.html", ' id="\\d+"'
    )
    for number in (b"17", b"18"):
        handler.content = b'<p id="%s">Lasers are off.' % number
        (found,) = fetcher.fetch([law])
        assert (found.state, found.path.name) == ("fetched", "ex-law.1.html")
        assert found.path.read_bytes() == b"<p>Lasers are off."
        found.path.unlink()
    assert {asked for asked, _ in handler.asked} == {"/HTML/?uri=CELEX:1"}
    handler.content = b'<p id="19">Lasers are on.'
    assert fetcher.fetch([law])[0].state == "changed"


def test_a_proxy_is_refused_with_the_remedy(
    site: tuple[type[Site], int], fetcher: Fetcher, monkeypatch: pytest.MonkeyPatch
) -> None:
    handler, port = site
    monkeypatch.setenv("HTTPS_PROXY", "http://proxy.test:3128")
    with pytest.raises(LibraryError, match=r"through a proxy.*safety-assistant add"):
        fetcher.fetch([file(port)])
    assert handler.asked == []
    monkeypatch.delenv("HTTPS_PROXY")
    assert fetcher.fetch([file(port)])[0].state == "fetched"


def test_what_broke_off_is_resumed(site: tuple[type[Site], int], fetcher: Fetcher) -> None:
    handler, port = site
    (cut,) = fetcher.fetch([file(port, "cut.md")])
    assert cut.state == "failed" and "again" in cut.detail
    partial = fetcher.folder / "ex-law.cut.md.part"
    half = partial.stat().st_size
    assert 0 < half < len(TEXT) and not cut.path.exists()
    (whole,) = fetcher.fetch([file(port, "cut.md")])
    assert (whole.state, whole.path.read_bytes()) == ("fetched", TEXT)
    assert [span for _, span in handler.asked] == ["", f"bytes={half}-"]
    assert not partial.exists()


def test_halves_of_two_versions_are_not_put_together(
    site: tuple[type[Site], int], fetcher: Fetcher
) -> None:
    _, port = site
    fetcher.folder.mkdir()
    (fetcher.folder / "ex-law.text.md.part").write_bytes(b"x" * 1000)
    (found,) = fetcher.fetch([file(port)])
    assert (found.state, found.path.read_bytes()) == ("fetched", TEXT)


@pytest.mark.parametrize(
    ("path", "limits", "expected"),
    [
        ("moved.md", {}, "elsewhere.test/text.md, which is not followed"),
        ("absent.md", {}, "answered 404"),
        ("text.md", {"file_bytes": 1000}, "larger than 1,000 bytes"),
        ("text.md", {"file_s": 0.0}, "took longer than 0 s"),
    ],
)
def test_what_is_not_as_it_should_be_is_not_taken(
    site: tuple[type[Site], int],
    fetcher: Fetcher,
    path: str,
    limits: dict[str, float],
    expected: str,
) -> None:
    handler, port = site
    limited = Fetcher(fetcher.folder, addresses=fetcher.addresses, tls=fetcher.tls, **limits)
    (found, other) = limited.fetch([file(port, path), file(port, path)])
    assert found.state == other.state == "failed" and expected in found.detail
    assert not found.path.exists()
    assert all("elsewhere" not in asked for asked, _ in handler.asked)


def test_only_plain_https_and_the_certified_host_are_asked(
    site: tuple[type[Site], int], fetcher: Fetcher
) -> None:
    handler, port = site
    for url in (
        f"http://official.test:{port}/text.md",
        f"https://user@official.test:{port}/text.md",
        f"https://other.test:{port}/text.md",
        "file:///etc/passwd",
    ):
        (found,) = fetcher.fetch([OfficialFile("ex-law", url, "0" * 64)])
        assert found.state == "failed", url
    assert handler.asked == []


@pytest.mark.parametrize(
    "address",
    ["127.0.0.1", "10.1.2.3", "192.168.0.1", "169.254.169.254", "100.64.0.1", "::1", "fe80::1", "fd00::1", "::ffff:10.0.0.1", "0.0.0.0"],
)  # fmt: skip
def test_private_addresses_are_not_asked(monkeypatch: pytest.MonkeyPatch, address: str) -> None:
    entries = [(None, None, None, None, (host, 443)) for host in ("93.184.216.34", address)]
    monkeypatch.setattr(socket, "getaddrinfo", lambda *_, **__: entries)
    with pytest.raises(LibraryError, match="not a public address"):
        public_addresses("official.test", 443)
    monkeypatch.setattr(socket, "getaddrinfo", lambda *_, **__: entries[:1])
    assert public_addresses("official.test", 443) == ["93.184.216.34"]


def test_a_fetched_text_is_searched_and_opened_from_its_digest(
    site: tuple[type[Site], int], fetcher: Fetcher, small_folder: Path, tmp_path: Path
) -> None:
    handler, port = site
    corpus = load_corpus(SMALL)
    provision = corpus.provisions[0]
    digest = corpus.by_source[provision.source_id]
    handler.content = (
        f"# Part one\n\nNothing to see.\n\n# {provision.locator}\n\n"
        f"{digest.quote(provision.segments[0])}\n\n# {provision.locator}.9\n\nOther."
    ).encode()
    entry = {
        "id": provision.source_id,
        "base": f"https://official.test:{port}/",
        "files": {"text.md": hashlib.sha256(handler.content).hexdigest()},
    }
    (small_folder / "official.yaml").write_text(yaml.safe_dump([entry]), encoding="utf-8")
    settings = Settings(corpus=small_folder, cache=tmp_path / "cache", library=tmp_path / "library")
    embedder, corpus = HashEmbedder(), load_corpus(small_folder)
    build_index(corpus, settings, embedder=embedder)
    index, ranking = open_index(corpus, settings, embedder), load_ranking(ROOT / "tests" / "data")
    retriever = Retriever(index, embedder, ranking, Shelf(settings.library, embedder))
    with Assistant(settings, corpus, index, retriever) as assistant:
        assert assistant.official(provision) is None
        fetched, report = assistant.library.fetch([digest.source], fetcher=fetcher)
        assert [found.state for found in fetched] == ["fetched"] and report.count("added") == 1
        official = assistant.official(provision)
        assert official is not None and official.locator == provision.locator
        assert official.source_id == f"official/{provision.source_id}.text"
        source = assistant.document(official.source_id).source
        assert (source.kind, source.binding) == (digest.source.kind, digest.source.binding)
        assert source.url == f"https://official.test:{port}/text.md"
        assert assistant.collections() == ("shipped", "official")
        with pytest.raises(LibraryError, match="not among those that may be fetched"):
            assistant.fetch(corpus.documents[1].source.id)


@pytest.mark.skipif(snapshots_folder() is None, reason="needs the snapshots of the sources")
def test_a_real_source_is_fetched_and_its_digest_opens_the_official_passage(
    site: tuple[type[Site], int], fetcher: Fetcher, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    handler, port = site
    files = [f for f in load_official(ROOT / "corpus") if f.source_id == "owasp-llm-top10-2025"]
    folder = snapshots_folder()
    assert folder is not None

    def serve(self: Site) -> None:
        self.content = (folder / "owasp-llm-top10-2025" / self.path[1:]).read_bytes()
        Site.do_GET(self)

    monkeypatch.setattr(handler, "do_GET", serve)
    local = [
        OfficialFile(
            f.source_id, f"https://official.test:{port}/{f.name.partition('.')[2]}", f.sha256
        )
        for f in files
    ]
    monkeypatch.setattr("assistant.library.library.load_official", lambda corpus: local)
    with Assistant.open(Settings(library=tmp_path / "library")) as assistant:
        source = assistant.document("owasp-llm-top10-2025").source
        fetched, report = assistant.library.fetch([source], fetcher=fetcher)
        assert {found.state for found in fetched} == {"fetched"} and report.count("added") == 10
        official = assistant.official(assistant.provision("LLM01:2025")[0])
        assert official is not None and "LLM01:2025" in official.title
        hits = assistant.search("direct prompt injection", collection="official")
        assert hits and {hit.document.source.kind for hit in hits} == {"guideline"}


@pytest.mark.skipif(snapshots_folder() is None, reason="needs the snapshots of the sources")
def test_a_law_is_fetched_although_each_answer_differs(
    site: tuple[type[Site], int], fetcher: Fetcher, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    handler, port = site
    (listed,) = (f for f in load_official(ROOT / "corpus") if f.source_id == "eu-ai-act")
    folder = snapshots_folder()
    assert folder is not None
    reviewed = (folder / "eu-ai-act" / "raw" / "eu" / "ai-act" / listed.called).read_bytes()
    handler.content = reviewed.replace(b'data-dtconfig="app=', b'data-dtconfig="app=other')
    assert handler.content != reviewed
    local = replace(listed, url=listed.url.replace("eur-lex.europa.eu", f"official.test:{port}"))
    monkeypatch.setattr("assistant.library.library.load_official", lambda corpus: (local,))
    library = Library(Settings(library=tmp_path / "library"), HashEmbedder())
    source = load_corpus(ROOT / "corpus").by_source["eu-ai-act"].source
    (fetched,), report = library.fetch([source], fetcher=fetcher)
    assert fetched.state == "fetched" and report.count("added") == 1
    (document,) = library.documents("official")
    assert document.binding == "binding" and document.passages > 500


def test_the_shipped_list_names_sources_of_the_corpus_by_https() -> None:
    corpus = load_corpus(ROOT / "corpus")
    files = load_official(ROOT / "corpus")
    assert files
    for entry in files:
        assert entry.source_id in corpus.by_source
        assert entry.url.startswith("https://")
        assert re.fullmatch(r"[0-9a-f]{64}", entry.sha256)
    assert len({entry.name for entry in files}) == len(files)
