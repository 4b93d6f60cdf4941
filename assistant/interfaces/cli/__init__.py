"""The command line: ``safety-assistant``.

Exit status: 0 for an answer and for an abstention, 1 for a failure, 2 for misuse, 130 for Ctrl-C.
"""

from assistant.interfaces.cli.program import main

__all__ = ["main"]
