"""Errors as `application/problem+json`."""

import msgspec
from aiohttp import web

from regimes.web.shapes import Problem

_TITLES = {
    400: "Bad request",
    401: "Not signed in",
    403: "Not allowed",
    404: "Not found",
    405: "Method not allowed",
    408: "Too slow",
    413: "Too large",
    415: "Unsupported media type",
    421: "Wrong host",
    429: "Too many attempts",
    500: "Internal error",
    503: "Not available now",
}


class ProblemError(Exception):
    """Ends a request with an error. detail: what is wrong and what to do."""

    def __init__(self, status: int, detail: str, **headers: str) -> None:
        super().__init__(detail)
        self.status = status
        self.detail = detail
        self.headers = {name.replace("_", "-"): value for name, value in headers.items()}


def problem(status: int, detail: str, headers: dict[str, str] | None = None) -> web.Response:
    """The answer that tells of an error."""
    body = msgspec.json.encode(Problem(_TITLES.get(status, "Error"), status, detail))
    return web.Response(
        status=status,
        body=body,
        headers={"Cache-Control": "no-store", **(headers or {})},
        content_type="application/problem+json",
    )
