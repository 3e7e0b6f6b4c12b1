"""`python -m vidorch.cli`."""

from vidorch.cli import main

main()
