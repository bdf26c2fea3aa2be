import asyncio
from collections import Counter
from contextlib import suppress
from pathlib import Path
from typing import Any

import aiohttp
import jsonschema_rs
import schemathesis
from hypothesis import HealthCheck, Phase as Step, given, settings
from hypothesis.errors import Unsatisfiable
from schemathesis import Case, GenerationMode
from schemathesis.checks import (
    content_type_conformance,
    not_a_server_error,
    response_schema_conformance,
    status_code_conformance,
)
from schemathesis.core.result import Ok
from schemathesis.schemas import APIOperation

from regimes.events import EventType, Phase, Severity
from tests.web.service import TOKEN, WRITE, Service, event, service
from tests.web.stream import reading

ROOT = Path(__file__).parent.parent.parent
ENDPOINT = {"webhooks_all": "http://127.0.0.1:9/hook", "allow_cidrs": ("127.0.0.0/8",)}
EXAMPLES = 25
BESIDE_THE_API = {"/api/openapi.json", "/login", "/logout", "/{path}"}
OPEN = {"/api/session", "/healthz", "/readyz"}
SAYS_503 = {"/readyz"}
"""Routes whose 503 is an answer like any other."""


async def document(running: Service) -> dict[str, Any]:
    _, told, _ = await running.get("/api/openapi.json")
    described: dict[str, Any] = told
    return described


def body_checker(described: dict[str, Any], name: str) -> jsonschema_rs.Draft202012Validator:
    schema = {**described["components"]["schemas"][name], "components": described["components"]}
    return jsonschema_rs.Draft202012Validator(schema)


async def test_the_description_names_every_route_that_is_served(tmp_path: Path) -> None:
    async with service(tmp_path, history=False) as running:
        described = await document(running)
        operations = {(method.upper(), path) for path, item in described["paths"].items() for method in item}
        app = running.server.application()
    served = {
        (route.method, route.resource.canonical)
        for route in app.router.routes()
        if route.resource is not None
        and route.method != "HEAD"
        and route.resource.canonical not in BESIDE_THE_API
    }
    assert operations == served
    assert described["openapi"] == "3.1.0"


async def test_what_supervisors_and_scrapers_ask_is_described_as_open_or_with_its_own_token(
    tmp_path: Path,
) -> None:
    async with service(tmp_path, history=False, web={"metrics_token": TOKEN}) as running:
        paths = (await document(running))["paths"]
        answers = {path: (await running.client.get(path)).status for path in ("/healthz", "/metrics")}
    assert [paths[path]["get"]["security"] for path in sorted(OPEN)] == [[{}]] * len(OPEN)
    assert {"scrape": []} in paths["/metrics"]["get"]["security"]
    assert answers == {"/healthz": 200, "/metrics": 401}


async def test_every_route_is_in_the_documentation(tmp_path: Path) -> None:
    text = (ROOT / "docs" / "api.md").read_text()
    async with service(tmp_path, history=False) as running:
        for path in (await document(running))["paths"]:
            assert path in text, path


async def test_event_bodies_of_every_kind_validate_against_the_published_schema(tmp_path: Path) -> None:
    made = [
        event(number, kind=kind, severity=severity, phase=phase, symbol="<img onerror=alert(1)>/USDT")
        for number, (kind, severity, phase) in enumerate(
            (kind, severity, phase) for kind in EventType for severity in Severity for phase in Phase
        )
    ]
    async with service(tmp_path, history=False) as running:
        checker = body_checker(await document(running), "EventBody")
        async with reading(running.address) as reader:
            await reader.next("snapshot")
            await running.emit(*made)
            for _ in made:
                checker.validate((await reader.next("event")).data)
        _, page, _ = await running.get("/api/events?limit=500")
        for each in page["events"]:
            checker.validate(each)
    assert len(page["events"]) == len(made)


async def test_frames_of_the_stream_validate_against_the_published_schemas(tmp_path: Path) -> None:
    async with service(tmp_path) as running:
        described = await document(running)
        frames = described["paths"]["/api/stream"]["get"]["responses"]["200"]["content"]["text/event-stream"][
            "x-events"
        ]
        async with reading(running.address) as reader:
            running.tick()
            await running.emit(event(1))
            for name in ("snapshot", "event", "status"):
                schema = {**frames[name], "components": described["components"]}
                jsonschema_rs.Draft202012Validator(schema).validate((await reader.next(name)).data)


Operation = APIOperation[Any, Any, Any, Any]


def without_stream(described: dict[str, Any]) -> schemathesis.BaseSchema:
    """The description without the route that never ends."""
    paths = {path: item for path, item in described["paths"].items() if path != "/api/stream"}
    return schemathesis.openapi.from_dict({**described, "paths": paths})


def operations(schema: schemathesis.BaseSchema) -> list[Operation]:
    found = list(schema.get_all_operations())
    assert all(isinstance(each, Ok) for each in found)
    return [each.ok() for each in found if isinstance(each, Ok)]


async def test_no_request_whatever_brings_a_server_error_or_an_undocumented_answer(tmp_path: Path) -> None:
    async with service(tmp_path, delivery=ENDPOINT) as running:
        await running.emit(*(event(number) for number in range(30)))
        schema = without_stream(await document(running))
        seen: Counter[int] = Counter()
        for operation in operations(schema):
            for mode in GenerationMode:
                found = await asyncio.to_thread(exercise, operation, running.address, mode, headers=WRITE)
                assert operation.path in SAYS_503 or all(status < 500 for status in found), operation.path
                seen += found
    assert {200, 201, 400, 404} <= seen.keys()
    assert seen.total() > 500


async def test_with_a_token_every_answer_to_strangers_is_documented_too(tmp_path: Path) -> None:
    async with service(tmp_path, history=False, web={"token": TOKEN}) as running:
        async with aiohttp.ClientSession(
            running.address, headers={"Authorization": f"Bearer {TOKEN}"}
        ) as client:
            schema = without_stream(await (await client.get("/api/openapi.json")).json())
        seen: Counter[int] = Counter()
        for operation in operations(schema):
            found = await asyncio.to_thread(
                exercise, operation, running.address, GenerationMode.POSITIVE, headers={}, examples=3
            )
            assert (found.keys() <= {200, 503}) == (operation.path in OPEN), operation.path
            seen += found
    assert seen.keys() == {200, 401, 403, 503}


def exercise(
    operation: Operation,
    address: str,
    mode: GenerationMode,
    *,
    headers: dict[str, str],
    examples: int = EXAMPLES,
) -> Counter[int]:
    """Send requests that keep to the description, or do not; each answer is checked against it. How many had each status."""
    seen: Counter[int] = Counter()

    @settings(
        max_examples=examples,
        deadline=None,
        database=None,
        derandomize=True,
        phases=[Step.explicit, Step.generate],
        suppress_health_check=list(HealthCheck),
    )
    @given(case=operation.as_strategy(generation_mode=mode))
    def check(case: Case[Any]) -> None:
        answer = case.call(base_url=address, headers=headers)
        seen[answer.status_code] += 1
        case.validate_response(
            answer,
            checks=[
                status_code_conformance,
                content_type_conformance,
                response_schema_conformance,
                *([] if operation.path in SAYS_503 else [not_a_server_error]),
            ],
        )

    with suppress(Unsatisfiable):  # an operation without parameters cannot be asked wrongly
        check()
    return seen
