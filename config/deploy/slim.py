"""Takes out of the environment it runs in what the service never opens, and compiles the rest. For images."""

import compileall
import shutil
import subprocess
import sys
import sysconfig
from pathlib import Path
from py_compile import PycInvalidationMode

from regimes.feeds.exchanges import USED

SITE = Path(sysconfig.get_path("purelib"))
TESTS = {"test", "tests"}
SOURCES = {".c", ".h", ".pyx", ".pxd", ".pyi"}


def main() -> None:
    """Remove, strip, compile; bytecode is never checked against its source again."""
    for folder in [path for path in SITE.rglob("*") if path.name in TESTS and path.is_dir()]:
        shutil.rmtree(folder, ignore_errors=True)
    for path in SITE.rglob("*"):
        if path.suffix in SOURCES and path.is_file():
            path.unlink()
    leave_out_exchanges()
    strip_symbols()
    compileall.compile_dir(SITE, quiet=2, force=True, invalidation_mode=PycInvalidationMode.UNCHECKED_HASH)


def leave_out_exchanges() -> None:
    """Of those that are not used only the name stays, in the folder where names are read from."""
    ccxt = SITE / "ccxt"
    for listed in ccxt.glob("abstract/[!_]*.py"):
        if listed.stem not in USED:
            listed.write_text("")
            for folder in (ccxt, ccxt / "async_support", ccxt / "pro"):
                (folder / listed.name).unlink(missing_ok=True)


def strip_symbols() -> None:
    """Strip every extension module; the bundled libraries beside them (`*.libs`) have been edited and may not bear it."""
    strip = shutil.which("strip")
    for module in SITE.rglob("*.so"):
        if strip and not module.parent.name.endswith(".libs"):
            # Into another file: this process may have mapped the one that is there.
            stripped = module.with_suffix(".stripped")
            subprocess.run([strip, "--strip-unneeded", "-o", stripped, module], check=True)  # noqa: S603  # a fixed program
            stripped.replace(module)


if __name__ == "__main__":
    sys.exit(main())
