"""One module for each file format: bytes in, a Draft out; run in the child process of reading.py."""
