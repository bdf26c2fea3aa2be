"""Records liquidations until it is killed; prints how many are on disk."""

import sys
from itertools import count
from pathlib import Path

from regimes.history.tape.recorder import Recorder

from .support import StillClock, liquidation, settings


def main(folder: str, first: int, segment_mb: float) -> None:
    clock = StillClock()
    with Recorder(settings(Path(folder), segment_mb=segment_mb), clock) as recorder:
        begun = first
        for number in count(first):
            one = liquidation(number)
            clock.at(one.ts_ms)
            recorder.record(one, f'{{"number":{number},"noise":{number * 2654435761 % 2**32}}}')
            if number % 500 == 499:
                while recorder.state().waiting:
                    pass
                sys.stdout.write(f"{begun + recorder.state().written}\n")
                sys.stdout.flush()


if __name__ == "__main__":
    main(sys.argv[1], int(sys.argv[2]), float(sys.argv[3]))
