"""The description of the API, OpenAPI 3.1, made from the routes and the types that encode their answers."""

import re
from collections.abc import Iterable, Iterator, Sequence
from typing import Any, Final, get_type_hints

import msgspec

from regimes import __version__
from regimes.events import EventBody
from regimes.web import params, shapes
from regimes.web.routes import Route

_REF: Final = "#/components/schemas/{name}"
_READ_ERRORS: Final = (400, 401, 403, 421, 429, 503)
_WRITE_ERRORS: Final = (*_READ_ERRORS, 408, 413, 415)
_WORDS: Final = {
    400: "A parameter or the body breaks a rule",
    401: "No token, or a wrong one",
    403: "Not allowed: a request from a foreign page, or writes are off",
    404: "There is no such thing",
    408: "The body took too long",
    413: "The body is too large",
    415: "The body is not JSON",
    421: "The Host header names another server",
    429: "Too many wrong tokens",
    503: "The program is starting, or the database is away",
}


def describe(routes: Sequence[Route]) -> dict[str, Any]:
    """The whole document as JSON values."""
    kinds = _types(routes)
    found, schemas = msgspec.json.schema_components(kinds, ref_template=_REF)
    refs = dict(zip(kinds, found, strict=True))
    paths: dict[str, dict[str, Any]] = {}
    for route in routes:
        paths.setdefault(route.path, {})[route.method.lower()] = _operation(route, refs)
    paths["/api/stream"] = {"get": _stream(refs)}
    paths["/api/session"] = {"get": _session(refs)}
    paths["/healthz"] = {"get": _health()}
    paths["/readyz"] = {"get": _ready(refs)}
    paths["/metrics"] = {"get": _metrics(refs)}
    return {
        "openapi": "3.1.0",
        "info": {
            "title": "regimes",
            "version": __version__,
            "summary": "What regime the crypto market is in",
            "license": {"name": "MIT", "identifier": "MIT"},
        },
        "paths": paths,
        "components": {
            "schemas": schemas,
            "securitySchemes": {
                "token": {"type": "http", "scheme": "bearer"},
                "scrape": {"type": "http", "scheme": "bearer", "description": "web.metrics_token"},
                "session": {"type": "apiKey", "in": "cookie", "name": "regimes_session"},
            },
        },
        "security": [{"token": []}, {"session": []}, {}],
    }


def _types(routes: Sequence[Route]) -> list[Any]:
    frames = [shapes.Snapshot, shapes.Tape, shapes.Status, EventBody]
    used: list[Any] = [shapes.Problem, shapes.Session, shapes.Ready, *frames]
    for route in routes:
        used += [route.answer, *([route.body] if route.body else [])]
    return list(dict.fromkeys(used))


def _operation(route: Route, refs: dict[Any, Any]) -> dict[str, Any]:
    answers = {str(route.status): _json("The answer", refs[route.answer])}
    if not route.is_write:
        answers["304"] = {"description": "The client has it already (If-None-Match)"}
    usual = _WRITE_ERRORS if route.is_write else _READ_ERRORS
    answers |= _errors(refs, sorted({*usual, *route.errors}))
    told: dict[str, Any] = {
        "operationId": _name(route),
        "summary": route.summary,
        "parameters": [*_parameters(route.where, "path"), *_parameters(route.query, "query")],
        "responses": answers,
    }
    if route.is_write:
        told["parameters"].append(_FROM_US)
    if route.body is not None:
        told["requestBody"] = {
            "required": True,
            "content": {"application/json": {"schema": refs[route.body]}},
        }
    return told


def _stream(refs: dict[Any, Any]) -> dict[str, Any]:
    frames = {
        "snapshot": refs[shapes.Snapshot],
        "features": refs[shapes.Features],
        "event": refs[EventBody],
        "liquidation": refs[shapes.Tape],
        "status": refs[shapes.Status],
    }
    return {
        "operationId": "get_stream",
        "summary": "Server-sent events: one snapshot, then changes",
        "parameters": list(_parameters(params.StreamQuery, "query")),
        "responses": {
            "200": {
                "description": "Frames by name of event; x-events gives the schema of each frame's data",
                "content": {"text/event-stream": {"schema": {"type": "string"}, "x-events": frames}},
            },
            **_errors(refs, _READ_ERRORS),
        },
    }


def _session(refs: dict[Any, Any]) -> dict[str, Any]:
    return {
        "operationId": "get_session",
        "summary": "Who asks; open to everybody",
        "security": [{}],
        "responses": {
            "200": _json("The answer", refs[shapes.Session]),
            **_errors(refs, (401, 421, 429)),
        },
    }


def _health() -> dict[str, Any]:
    return {
        "operationId": "get_healthz",
        "summary": "Whether the process answers at all; open to everybody",
        "security": [{}],
        "responses": {"200": _text("It does")},
    }


def _ready(refs: dict[Any, Any]) -> dict[str, Any]:
    return {
        "operationId": "get_readyz",
        "summary": "Whether what is shown can be relied on, and what is degraded; open to everybody",
        "security": [{}],
        "responses": {
            "200": _json("It can; problems may be named all the same", refs[shapes.Ready]),
            "503": _json("It cannot", refs[shapes.Ready]),
        },
    }


def _metrics(refs: dict[Any, Any]) -> dict[str, Any]:
    return {
        "operationId": "get_metrics",
        "summary": "What Prometheus scrapes; needs web.metrics_token where one is set, else the token where one is set",
        "security": [{"scrape": []}, {}],
        "responses": {
            "200": _text("Metrics in Prometheus' text format"),
            **_errors(refs, (401, 421, 429)),
        },
    }


_FROM_US: Final = {
    "name": "X-Requested-With",
    "in": "header",
    "required": False,
    "description": "Needed on writes unless a bearer token is sent; no foreign page can set it.",
    "schema": {"type": "string", "const": "regimes"},
}


def _parameters(kind: type[msgspec.Struct], place: str) -> Iterator[dict[str, Any]]:
    hints = get_type_hints(kind, include_extras=True)
    for known in msgspec.structs.fields(kind):
        (schema,), schemas = msgspec.json.schema_components([hints[known.name]], ref_template=_REF)
        told = _inline(schema, schemas)
        if known.default is None and "anyOf" in told:
            # A parameter that is left out is no null.
            told = next(part for part in told["anyOf"] if part != {"type": "null"})
        yield {
            "name": known.encode_name,
            "in": place,
            "required": known.required,
            **({"description": told.pop("description")} if "description" in told else {}),
            "schema": told,
        }


def _inline(schema: Any, schemas: dict[str, Any]) -> dict[str, Any]:
    """A schema without references: enumerations stand where they are used."""
    if "$ref" in schema:
        whole = dict(schemas[schema["$ref"].rpartition("/")[2]])
        return {key: value for key, value in whole.items() if key not in {"title", "description"}}
    if "anyOf" in schema:
        return {**schema, "anyOf": [_inline(part, schemas) for part in schema["anyOf"]]}
    return dict(schema)


def _errors(refs: dict[Any, Any], statuses: Iterable[int]) -> dict[str, Any]:
    problem = refs[shapes.Problem]
    return {str(status): _json(_WORDS[status], problem, "application/problem+json") for status in statuses}


def _text(words: str) -> dict[str, Any]:
    return {"description": words, "content": {"text/plain": {"schema": {"type": "string"}}}}


def _json(words: str, schema: Any, content_type: str = "application/json") -> dict[str, Any]:
    return {"description": words, "content": {content_type: {"schema": schema}}}


def _name(route: Route) -> str:
    words = re.findall(r"[a-z]+", route.path.removeprefix("/api/"))
    return "_".join([route.method.lower(), *words])
