"""Servers as their users start them: real processes on a loopback port."""

from __future__ import annotations

import os
import re
import signal
import subprocess
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass, field
from typing import IO

from tests.conftest import ROOT
from tests.test_cli import PROGRAM

TOKEN = "a-token-of-a-test-0123456789"


@dataclass
class Served:
    """A server under way: its address, its process, and what it wrote to standard error so far."""

    url: str
    process: subprocess.Popen[str]
    errors: list[str] = field(default_factory=list)

    def stop(self, number: int = signal.SIGINT) -> int:
        """Send a signal; the exit status."""
        self.process.send_signal(number)
        self.errors += _stream(self.process.stderr).readlines()
        return self.process.wait(30)


@contextmanager
def served(env: Mapping[str, str], *arguments: str) -> Iterator[Served]:
    """Run a command that serves HTTP, on a free port unless one is named."""
    port = () if "--port" in arguments else ("--port", "0")
    with subprocess.Popen(
        [*PROGRAM, *arguments, *port],
        cwd=ROOT,
        env=env,
        stdin=subprocess.DEVNULL,
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
    ) as process:
        errors = []
        try:
            for line in _stream(process.stderr):
                errors.append(line)
                found = re.match(r"Serving (\S+) ", line)
                if found:
                    yield Served(found[1], process, errors)
                    return
            raise AssertionError("".join(errors))
        finally:
            process.kill()


def _stream(stream: IO[str] | None) -> IO[str]:
    assert stream is not None
    return stream


def plain_environment() -> dict[str, str]:
    """This process' environment, in which the checkout's own index is used."""
    return dict(os.environ)
