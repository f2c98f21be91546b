"""How the exchange says no: HTTP status, code and text, word for word where the documentation has words."""

from __future__ import annotations

import msgspec


class Refusal(msgspec.Struct, frozen=True):
    """One refusal. `retry_after_s` becomes the header of that name; `code` None: a body without one."""

    status: int
    code: int | None
    text: str
    retry_after_s: int | None = None

    def body(self) -> bytes:
        """The JSON body; without a code only the text, as the exchange's edge answers."""
        if self.code is None:
            return msgspec.json.encode({"msg": self.text})
        return msgspec.json.encode({"code": self.code, "msg": self.text})


def mandatory(name: str) -> Refusal:
    """A parameter that must be there is not, or cannot be read."""
    return Refusal(400, -1102, f"Mandatory parameter '{name}' was not sent, was empty/null, or malformed.")


def empty(name: str) -> Refusal:
    """A parameter without a value."""
    return Refusal(400, -1105, f"Parameter '{name}' was empty.")


def not_required(name: str) -> Refusal:
    """A parameter that this order type must not carry."""
    return Refusal(400, -1106, f"Parameter '{name}' sent when not required.")


def illegal_characters(name: str, pattern: str) -> Refusal:
    """A value outside its legal range."""
    return Refusal(400, -1100, f"Illegal characters found in parameter '{name}'; legal range is '{pattern}'.")


def unknown_path(method: str, path: str) -> Refusal:
    """No such endpoint."""
    return Refusal(404, -5000, f"Path {path}, Method {method} is invalid")


def spot_filter(name: str) -> Refusal:
    """An order that one of a spot symbol's filters refuses."""
    return Refusal(400, -1013, f"Filter failure: {name}")


BAD_KEY_FORMAT = Refusal(401, -2014, "API-key format invalid.")
BAD_SIGNATURE = Refusal(400, -1022, "Signature for this request is not valid.")
BAD_RECV_WINDOW = Refusal(400, -1131, "recvWindow must be less than 60000")
OUTSIDE_WINDOW = Refusal(400, -1021, "Timestamp for this request is outside of the recvWindow.")
AHEAD_OF_SERVER = Refusal(400, -1021, "Timestamp for this request was 1000ms ahead of the server's time.")
OUTSIDE_ENGINE_WINDOW = Refusal(400, -5028, "Timestamp for this request is outside of the ME recvWindow.")
NOT_ASCII = Refusal(400, -1100, "Illegal characters found in the request; legal range is ASCII.")
DUPLICATE_PARAMETER = Refusal(400, -1101, "Duplicate values for a parameter detected.")
INVALID_INTERVAL = Refusal(400, -1127, "More than 168 hours between startTime and endTime.")
INVALID_TIME_IN_FORCE = Refusal(400, -1115, "Invalid timeInForce.")
INVALID_TYPE = Refusal(400, -1116, "Invalid orderType.")
INVALID_SIDE = Refusal(400, -1117, "Invalid side.")
INVALID_SYMBOL = Refusal(400, -1121, "Invalid symbol.")
INVALID_LISTEN_KEY = Refusal(400, -1125, "This listenKey does not exist.")
TOO_PRECISE = Refusal(400, -1111, "Precision is over the maximum defined for this asset.")
DUPLICATE_SPOT = Refusal(400, -2010, "Duplicate order sent.")
DUPLICATE_FUTURES = Refusal(400, -4116, "ClientOrderId is duplicated.")
INSUFFICIENT_BALANCE = Refusal(400, -2010, "Account has insufficient balance for requested action.")
UNKNOWN_ORDER = Refusal(400, -2011, "Unknown order sent.")
NO_SUCH_ORDER = Refusal(400, -2013, "Order does not exist.")
INSUFFICIENT_MARGIN = Refusal(400, -2019, "Margin is insufficient.")
TOO_MANY_OPEN = Refusal(400, -2025, "Reach max open order limit.")
REDUCE_ONLY = Refusal(400, -2022, "ReduceOnly Order is rejected.")
MAKER_ONLY_SPOT = Refusal(400, -2010, "Order would immediately match and take.")
ZERO_QUANTITY = Refusal(400, -4003, "Quantity less than or equal to zero.")
QUANTITY_TOO_SMALL = Refusal(400, -4004, "Quantity less than min quantity.")
QUANTITY_TOO_LARGE = Refusal(400, -4005, "Quantity greater than max quantity.")
PRICE_TOO_LARGE = Refusal(400, -4002, "Price greater than max price.")
PRICE_TOO_SMALL = Refusal(400, -4013, "Price less than min price.")
PRICE_OFF_TICK = Refusal(400, -4014, "Price not increased by tick size.")
BAD_CLIENT_ORDER_ID = Refusal(400, -4015, "Client order id length should be less than 36 chars")
QUANTITY_OFF_STEP = Refusal(400, -4023, "Qty not increased by step size.")
NO_NEED_TO_CHANGE_MODE = Refusal(400, -4059, "No need to change position side.")
WRONG_POSITION_SIDE = Refusal(400, -4061, "Order's position side does not match user's setting.")
MODE_HAS_ORDERS = Refusal(400, -4067, "Position side cannot be changed if there exists open orders.")
MODE_HAS_POSITIONS = Refusal(400, -4068, "Position side cannot be changed if there exists position.")
CONDITIONAL_ORDER = Refusal(
    400,
    -4120,
    "Order type not supported for this endpoint. Please use the Algo Order API endpoints instead.",
)
SYMBOL_CLOSED = Refusal(400, -4141, "Symbol is closed.")
MARKET_CLOSED = Refusal(400, -1013, "Market is closed.")
FOK_REJECTED = Refusal(
    400,
    -5021,
    "Due to the order could not be filled immediately, the FOK order has been rejected."
    " The order will not be recorded in the order history",
)
GTX_REJECTED = Refusal(
    400,
    -5022,
    "Due to the order could not be executed as maker, the Post Only order will be rejected."
    " The order will not be recorded in the order history",
)
