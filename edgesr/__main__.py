"""``python -m edgesr``."""

from edgesr.cli import main

main()
