"""``python -m assistant.interfaces.cli`` is ``safety-assistant``."""

from assistant.interfaces.cli.program import main

main()
