"""Command line and other ways in; only these modules print."""
