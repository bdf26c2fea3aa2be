"""The exchange's own controls over HTTP, for tests and benches in another process."""

from collections.abc import Awaitable, Callable, Mapping
from typing import Any

import msgspec
from aiohttp import web

from regimes.feeds.simulator.connections import Hub
from regimes.feeds.simulator.faults import Faults


class Control:
    """`POST /control/faults` with `{"fault": NAME, ...arguments}`, and `GET /control/sent`.

    The answer to a fault is `{"result": ...}`: what the method of `Faults` with that name returned.
    """

    def __init__(self, faults: Faults, hub: Hub) -> None:
        self._hub = hub
        self._faults = faults
        self._methods: Mapping[str, Callable[..., Any]] = {
            "burst": faults.burst,
            "duplicate": faults.duplicate,
            "out_of_order": faults.out_of_order,
            "inject": faults.inject,
            "malformed": faults.malformed,
            "stall": faults.stall,
            "half_open": faults.half_open,
            "recover": faults.recover,
            "close": faults.close,
            "drop_all": faults.drop_all,
            "reject_subscribe": faults.reject_subscribe,
            "refuse_connections": faults.refuse_connections,
            "accept_connections": faults.accept_connections,
            "http": faults.http.add,
            "clear_http": faults.http.clear,
            "clock_skew": self._skew,
        }

    def routes(self) -> list[web.RouteDef]:
        """The two paths."""
        return [web.post("/control/faults", self._fault), web.get("/control/sent", self._sent)]

    async def _fault(self, request: web.Request) -> web.Response:
        try:
            arguments = msgspec.json.decode(await request.read(), type=dict[str, Any])
            method = self._methods[arguments.pop("fault")]
            result = method(**arguments)
            if isinstance(result, Awaitable):
                result = await result
        except (msgspec.MsgspecError, KeyError, TypeError) as error:
            known = ", ".join(self._methods)
            return web.json_response({"error": f"{error}; faults are {known}"}, status=400)
        return web.json_response({"result": result})

    async def _sent(self, _: web.Request) -> web.Response:
        return web.json_response(self._hub.sent.as_dict() | {"connections": len(self._hub)})

    def _skew(self, ms: int) -> None:
        self._faults.clock_skew_ms = ms
