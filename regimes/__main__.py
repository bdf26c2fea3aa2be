"""`python -m regimes` is the command `regimes`."""

from regimes.cli import main

main()
