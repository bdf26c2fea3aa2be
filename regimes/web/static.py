"""Files of the pages: found once at the start, so that no request can name anything else."""

import hashlib
import mimetypes
import zlib
from contextlib import suppress
from pathlib import Path
from typing import Final

import msgspec

from regimes.web.script import UnclearError, shortened

LONG_LIVED: Final = "vendor/"
PAGE_FILES: Final = {"/": "index.html", "/realtime": "realtime.html", "/deliveries": "deliveries.html"}
_PACKAGE: Final = Path(__file__).parent.parent
_TYPES: Final = {
    ".js": "text/javascript",
    ".mjs": "text/javascript",
    ".css": "text/css",
    ".svg": "image/svg+xml",
}
_TEXT: Final = ("text/", "application/json", "image/svg")


class Asset(msgspec.Struct, frozen=True):
    """One file as it is sent. gzipped: None where that saves nothing."""

    body: bytes
    gzipped: bytes | None
    etag: str
    content_type: str
    cache_control: str


def folder() -> Path:
    """Where the files are: inside the wheel, or in the checkout."""
    in_wheel = _PACKAGE / "_shipped" / "static"
    return in_wheel if in_wheel.is_dir() else _PACKAGE.parent / "static"


class Assets:
    """Every file below a folder, by its path in URLs; read again when it has changed."""

    def __init__(self, root: Path) -> None:
        self._root = root.resolve()
        self._files = {
            path.relative_to(self._root).as_posix(): path
            for path in sorted(self._root.rglob("*"))
            if path.is_file() and path.resolve().is_relative_to(self._root)
        }
        self._read: dict[str, tuple[int, Asset]] = {}

    def get(self, path: str) -> Asset | None:
        """The file behind the path of a URL, such as `/style.css`; None where there is none."""
        name = PAGE_FILES.get(path, path.removeprefix("/"))
        file = self._files.get(name)
        if file is None:
            return None
        try:
            changed = file.stat().st_mtime_ns
            known = self._read.get(name)
            if known is None or known[0] != changed:
                known = self._read[name] = (changed, _asset(name, file.read_bytes()))
        except OSError:
            return None
        return known[1]


def _asset(name: str, body: bytes) -> Asset:
    kind = _TYPES.get(Path(name).suffix) or mimetypes.guess_type(name)[0] or "application/octet-stream"
    if kind == "text/javascript" and not name.startswith(LONG_LIVED):
        with suppress(UnclearError, UnicodeDecodeError):  # then it is sent as it is
            body = shortened(body.decode("utf-8")).encode("utf-8")
    gzipped = None
    if kind.startswith(_TEXT):
        packer = zlib.compressobj(9, zlib.DEFLATED, 31)
        packed = packer.compress(body) + packer.flush()
        gzipped = packed if len(packed) < len(body) else None
    return Asset(
        body=body,
        gzipped=gzipped,
        etag=f'W/"{hashlib.blake2b(body, digest_size=12).hexdigest()}"',
        content_type=kind,
        cache_control="public, max-age=604800" if name.startswith(LONG_LIVED) else "no-cache",
    )
