"""Where the next page of a list begins, as text that a client gives back unread."""

import base64
import binascii
from typing import Annotated, Final

import msgspec
from msgspec import Meta

from regimes.observations import Liquidation
from regimes.storage.base import LiquidationPlace
from regimes.web.problem import ProblemError
from regimes.web.shapes import DeliveryView

_MARK: Final = "."
_MOST_DIGITS: Final = 15
_Name = Annotated[str, Meta(max_length=100)]
# As `LiquidationPlace`, but no number that a database cannot hold.
_place_of = msgspec.json.Decoder(
    tuple[Annotated[int, Meta(ge=0, lt=10**_MOST_DIGITS)], _Name, _Name, _Name, float, float]
).decode


def of_delivery(delivery: DeliveryView) -> str:
    """The cursor behind a delivery."""
    return f"{delivery.created_ms}{_MARK}{delivery.id}"


def delivery_place(cursor: str) -> tuple[int, str]:
    """What `of_delivery` was made of. Raises ProblemError."""
    created_ms, _, delivery_id = cursor.partition(_MARK)
    is_time = created_ms.isascii() and created_ms.isdigit() and len(created_ms) <= _MOST_DIGITS
    if not (is_time and delivery_id):
        raise _foreign("deliveries")
    return int(created_ms), delivery_id


def of_liquidation(order: Liquidation) -> str:
    """The cursor behind a liquidation: all that makes it one of its own, as several may come in a millisecond."""
    place: LiquidationPlace = (
        order.ts_ms,
        order.venue,
        order.symbol,
        order.closed,
        order.fill_price,
        order.base_qty,
    )
    return base64.urlsafe_b64encode(msgspec.json.encode(place)).decode("ascii").rstrip("=")


def liquidation_place(cursor: str) -> LiquidationPlace:
    """What `of_liquidation` was made of. Raises ProblemError."""
    try:
        packed = base64.b64decode(cursor + "=" * (-len(cursor) % 4), altchars=b"-_", validate=True)
        return _place_of(packed)
    except (binascii.Error, ValueError) as error:  # of msgspec and of characters beyond ASCII too
        raise _foreign("liquidations") from error


def _foreign(what: str) -> ProblemError:
    return ProblemError(400, f"cursor must be one that a page of {what} gave")
