"""`python -m vidorch`."""

from vidorch.cli import main

main()
