"""One thing the doctor looked at."""

from typing import Literal

import msgspec

Verdict = Literal["ok", "warning", "wrong"]


class Finding(msgspec.Struct, frozen=True):
    """What was found. remedy: what to do, empty when nothing has to be done."""

    subject: str
    verdict: Verdict
    words: str
    remedy: str = ""
