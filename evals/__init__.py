"""The workbench: how good the shipped corpus' answers are, whatever documents its user has added."""

from pathlib import Path

NO_LIBRARY = Path(__file__).resolve().parent / "no-library"
"""A folder that does not exist."""
