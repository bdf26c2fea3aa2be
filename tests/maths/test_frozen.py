"""The numbers that ship are those that were fitted and judged: one that slips changes answers, and no formula would tell."""

import hashlib
from importlib import import_module
from pathlib import Path

import pytest

from regimes import maths

# After a fit on purpose: judge it (`python -m bench.signals`), write docs/signals.md anew, then this.
DIGESTS = {
    "burst_frozen": "0dde5569b7216441",
    "forecast_frozen": "80d1f59c49f2675b",
    "persistence_frozen": "5cd488c531d0a4d0",
    "reversion_frozen": "949a4419b2ab5b20",
    "spot_frozen": "b7c5ed4da14e0c5e",
}
FOUND = sorted(path.stem for path in Path(maths.__path__[0]).glob("*_frozen.py"))


def test_each_file_of_numbers_is_known() -> None:
    assert sorted(DIGESTS) == FOUND


@pytest.mark.parametrize("name", FOUND)
def test_no_number_has_changed_since_it_was_judged(name: str) -> None:
    module = import_module(f"regimes.maths.{name}")
    numbers = {key: value for key, value in sorted(vars(module).items()) if key.isupper()}
    assert numbers
    assert hashlib.sha256(repr(numbers).encode()).hexdigest()[:16] == DIGESTS[name]
