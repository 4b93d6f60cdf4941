"""Official texts behind the corpus' digests, from their publishers' own addresses.

Only what ``corpus/official.yaml`` lists is fetched: by https, from that very address, with no
redirect, from no address inside a private network, within limits of size and time. What was cut off
is resumed. The digest of what came is compared with that of the text which was reviewed.
"""

from __future__ import annotations

import hashlib
import http.client
import ipaddress
import re
import socket
import ssl
import time
import urllib.request
from collections.abc import Callable, Iterable
from dataclasses import dataclass, field
from pathlib import Path
from typing import Literal
from urllib.parse import quote, urlsplit

from assistant.errors import CorpusError, LibraryError
from assistant.files import parse_yaml, read_text

COLLECTION = "official"
_BLOCK = 65_536
_SILENCE_S = 30.0
Progress = Callable[[str, int, int], None]
State = Literal["fetched", "unchanged", "changed", "failed"]


@dataclass(frozen=True, slots=True)
class OfficialFile:
    """A file of a source at its publisher's: its address, and the sha256 of what was reviewed.

    called: its name, where the address does not end with one. varies: a pattern for what differs
    each time that the file is fetched and is no part of the text; it is left out.
    """

    source_id: str
    url: str
    sha256: str
    called: str = ""
    varies: str = ""

    @property
    def name(self) -> str:
        """What it is called in the cache: the source's id, then its own name."""
        return f"{self.source_id}.{self.called or self.url.rpartition('/')[2]}"


@dataclass(frozen=True, slots=True)
class Fetched:
    """What became of a file: "unchanged" was there already; "changed" is not what was reviewed."""

    file: OfficialFile
    state: State
    path: Path
    detail: str = ""


def load_official(corpus: Path) -> tuple[OfficialFile, ...]:
    """Read the list of addresses; no file means none. Raises CorpusError if it is not of the shape."""
    path = corpus / "official.yaml"
    if not path.is_file():
        return ()
    try:
        return tuple(
            OfficialFile(
                entry["id"],
                entry["base"] + name,
                sha256,
                entry.get("called", ""),
                entry.get("varies", ""),
            )
            for entry in parse_yaml(path, read_text(path)) or []
            for name, sha256 in entry["files"].items()
        )
    except (KeyError, TypeError, AttributeError) as error:
        raise CorpusError(path, 1, f"an entry needs 'id', 'base' and 'files': {error!r}") from error


def public_addresses(host: str, port: int) -> list[str]:
    """The IP addresses of a host; raises LibraryError if any is not one of the public internet."""
    try:
        found = socket.getaddrinfo(host, port, type=socket.SOCK_STREAM)
    except OSError as error:
        raise LibraryError(
            f"{host} cannot be found: {error}. Check the connection, then run the command again."
        ) from error
    addresses = [str(entry[4][0]) for entry in found]
    for address in addresses:
        if not ipaddress.ip_address(address.partition("%")[0]).is_global:
            raise LibraryError(
                f"{host} is at {address}, which is not a public address, and is not asked. "
                "Check the name service of this network."
            )
    return addresses


@dataclass(frozen=True, slots=True)
class Fetcher:
    """Fetches files into a folder.

    file_bytes: the most that a file may have. file_s: the most that one may take, in seconds.
    addresses: host and port -> IP addresses to connect to. tls: what certificates are trusted.
    """

    folder: Path
    file_bytes: int = 50 * 2**20
    file_s: float = 300.0
    addresses: Callable[[str, int], list[str]] = public_addresses
    tls: ssl.SSLContext = field(default_factory=ssl.create_default_context)

    def fetch(
        self, files: Iterable[OfficialFile], progress: Progress | None = None
    ) -> list[Fetched]:
        """Fetch what is not there as it was reviewed; one that fails does not stop the others.

        Raises LibraryError on a machine that reaches the internet through a proxy only.
        """
        _refuse_proxy()
        self.folder.mkdir(parents=True, exist_ok=True)
        report = progress or (lambda stage, done, total: None)
        results = []
        for file in files:
            try:
                results.append(self._one(file, report))
            except LibraryError as error:
                results.append(Fetched(file, "failed", self.folder / file.name, str(error)))
            except (OSError, http.client.HTTPException, TimeoutError) as error:
                detail = f"{file.url} was not received whole: {error}. Run the command again."
                results.append(Fetched(file, "failed", self.folder / file.name, detail))
        return results

    def _one(self, file: OfficialFile, progress: Progress) -> Fetched:
        target = self.folder / file.name
        if target.is_file() and _sha256(target) == file.sha256:
            return Fetched(file, "unchanged", target)
        partial = target.with_name(target.name + ".part")
        resumed = partial.is_file()
        self._receive(file, partial, progress)
        digest = _settled(file, partial)
        if resumed and digest != file.sha256:
            partial.unlink()  # the two halves may be of different versions
            self._receive(file, partial, progress)
            digest = _settled(file, partial)
        partial.replace(target)
        if digest == file.sha256:
            return Fetched(file, "fetched", target)
        detail = f"{file.url} now says something else than what was reviewed ({digest[:12]}…)."
        return Fetched(file, "changed", target, detail)

    def _receive(self, file: OfficialFile, partial: Path, progress: Progress) -> None:
        """Bring the rest of a file into ``partial``, which keeps what has come if it breaks off."""
        until = time.monotonic() + self.file_s
        have = partial.stat().st_size if partial.is_file() else 0
        connection = self._connect(file)
        try:
            headers = {"Accept-Encoding": "identity", "User-Agent": "safety-guideline-assistant"}
            if have:
                headers["Range"] = f"bytes={have}-"
            parts = urlsplit(file.url)
            asked = quote(parts.path) + (f"?{parts.query}" if parts.query else "")
            connection.request("GET", asked, headers=headers)
            response = connection.getresponse()
            have, total = _start(file, response, have)
            with partial.open("r+b" if partial.is_file() else "wb") as out:
                out.truncate(have)
                out.seek(have)
                while True:
                    if total > self.file_bytes or have > self.file_bytes:
                        raise LibraryError(
                            f"{file.url} is larger than {self.file_bytes:,} bytes and is not kept. "
                            "Fetch it by hand and use `safety-assistant add`."
                        )
                    if time.monotonic() > until:
                        raise LibraryError(
                            f"{file.url} took longer than {self.file_s:g} s. "
                            "Run the command again: it goes on where it stopped."
                        )
                    block = response.read1(_BLOCK)
                    if not block:
                        break
                    out.write(block)
                    have += len(block)
                    progress(file.name, have, max(total, have))
            if have < total:
                raise LibraryError(
                    f"{file.url} broke off after {have:,} of {total:,} bytes. "
                    "Run the command again: it goes on from there."
                )
        finally:
            connection.close()

    def _connect(self, file: OfficialFile) -> http.client.HTTPSConnection:
        """A connection to the very address that was looked at, in the name of the host."""
        parts = urlsplit(file.url)
        if parts.scheme != "https" or not parts.hostname or parts.username:
            raise LibraryError(f"{file.url} is not a plain https address. Correct official.yaml.")
        port = parts.port or 443
        address = self.addresses(parts.hostname, port)[0]
        connection = http.client.HTTPSConnection(parts.hostname, port, context=self.tls)
        plain = socket.create_connection((address, port), timeout=_SILENCE_S)
        try:
            connection.sock = self.tls.wrap_socket(plain, server_hostname=parts.hostname)
        except BaseException:
            plain.close()
            raise
        return connection


def _start(file: OfficialFile, response: http.client.HTTPResponse, asked: int) -> tuple[int, int]:
    """The offset from which the answer brings the file, and how long the file is, 0 if unknown.

    Raises LibraryError if the answer does not bring it.
    """
    length = int(response.headers.get("Content-Length") or 0)
    span = response.headers.get("Content-Range", "")
    if response.status == 200:
        return 0, length
    if response.status == 206 and asked and span.startswith(f"bytes {asked}-"):
        return asked, asked + length
    if response.status == 416 and asked and span == f"bytes */{asked}":
        response.read()
        return asked, asked
    if 300 <= response.status < 400:
        where = response.headers.get("Location", "nowhere")[:200]
        problem = f"sends on to {where}, which is not followed"
    else:
        problem = f"answered {response.status} {response.reason}"
    raise LibraryError(f"{file.url} {problem}. See whether the publisher moved the text.")


def _refuse_proxy() -> None:
    """A proxy would look up the address itself, so that nobody could say which one was asked."""
    proxy = urllib.request.getproxies().get("https")
    if proxy:
        raise LibraryError(
            "Official texts are not fetched through a proxy, and HTTPS_PROXY or the system names one. "
            "Unset it if the publishers can be reached directly; else download the files that "
            "official.yaml lists and use `safety-assistant add`."
        )


def _settled(file: OfficialFile, path: Path) -> str:
    """The sha256 of what was received, without what varies."""
    if file.varies:
        path.write_bytes(re.sub(file.varies.encode(), b"", path.read_bytes()))
    return _sha256(path)


def _sha256(path: Path) -> str:
    with path.open("rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()


def chosen(files: Iterable[OfficialFile], names: Iterable[str]) -> list[OfficialFile]:
    """The files of the named sources, of all if none is named.

    Raises LibraryError, naming the known ones, for a source whose text cannot be fetched.
    """
    groups: dict[str, list[OfficialFile]] = {}
    for file in files:
        groups.setdefault(file.source_id, []).append(file)
    wanted = list(names) or list(groups)
    for name in wanted:
        if name not in groups:
            raise LibraryError(
                f"The official text of '{name[:80]}' is not among those that may be fetched. "
                f"Those are: {', '.join(groups)}."
            )
    return [file for name in wanted for file in groups[name]]
