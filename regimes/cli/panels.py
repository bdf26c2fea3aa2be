"""How `regimes --help` puts the commands in order, and what it says at its end."""

from enum import StrEnum
from typing import Final


class Panel(StrEnum):
    """A heading of the list of commands."""

    RUN = "Run it"
    CHECK = "Check it"
    ALERTS = "What it saw and sent"
    PAST = "The past"
    DATA = "Keep the data"


EXIT_CODES: Final = (
    "Exit codes: 0 done; 1 a check failed; 2 a wrong option, setting or file; 3 no exchange can be reached; "
    "4 the database cannot be used; 70 a bug; 130 interrupted. More: docs/cli.md."
)
