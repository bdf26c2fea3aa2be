"""Files of the pages: found once at the start, so that no request can name anything else."""

import hashlib
import mimetypes
import zlib
from collections.abc import Iterable
from contextlib import suppress
from pathlib import Path
from typing import Final

import msgspec

from regimes.web.bundle import Bundles
from regimes.web.script import UnclearError, shortened

LONG_LIVED: Final = "vendor/"
MODULES: Final = "js/"
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
        self._read: dict[str, tuple[tuple[int, ...], Asset]] = {}
        self._bundles = Bundles(self._modules())

    def get(self, path: str) -> Asset | None:
        """The file behind the path of a URL, such as `/style.css`; None where there is none."""
        name = PAGE_FILES.get(path, path.removeprefix("/"))
        if name not in self._files:
            return None
        parts = self._parts(name)
        try:
            changed = tuple(self._files[part].stat().st_mtime_ns for part in parts)
            known = self._read.get(name)
            if known is None or known[0] != changed:
                known = self._read[name] = (changed, _asset(name, self._body(name, parts)))
        except OSError:
            return None
        return known[1]

    def _modules(self) -> dict[str, str]:
        """Text of each module, by its name."""
        files = {name: file for name, file in self._files.items() if _is_module(name)}
        return {_module(name): file.read_text(encoding="utf-8") for name, file in files.items()}

    def _parts(self, name: str) -> list[str]:
        """The files that the one of this name is made of."""
        return [_file(part) for part in self._bundles.parts(_module(name))] if _is_module(name) else [name]

    def _body(self, name: str, parts: Iterable[str]) -> bytes:
        """What is sent for this name, before it is compressed."""
        bodies = {part: self._files[part].read_bytes() for part in parts}
        if not name.endswith(".js") or name.startswith(LONG_LIVED):
            return bodies[name]
        if not _is_module(name):
            return _short(bodies[name])
        texts = {_module(part): _short(body).decode("utf-8") for part, body in bodies.items()}
        return self._bundles.text(_module(name), texts).encode("utf-8")


def _is_module(name: str) -> bool:
    return name.startswith(MODULES) and name.endswith(".js")


def _module(name: str) -> str:
    return name.removeprefix(MODULES).removesuffix(".js")


def _file(module: str) -> str:
    return f"{MODULES}{module}.js"


def _short(body: bytes) -> bytes:
    with suppress(UnclearError, UnicodeDecodeError):  # then it is sent as it is
        return shortened(body.decode("utf-8")).encode("utf-8")
    return body


def _asset(name: str, body: bytes) -> Asset:
    kind = _TYPES.get(Path(name).suffix) or mimetypes.guess_type(name)[0] or "application/octet-stream"
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
