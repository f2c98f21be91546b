"""What an account holds and how it is set: balances, positions, modes, rights, listen keys."""

from __future__ import annotations

from decimal import Decimal

from adapters.exchange import refusals
from adapters.exchange.accounts import Account, Position, held, order_margin, position_margin, unrealized
from adapters.exchange.call import Answer, Call, Venue
from adapters.exchange.orders import ZERO
from adapters.exchange.placing import available_margin
from adapters.exchange.refusals import Refusal, mandatory
from adapters.exchange.words import Json, plain

PLACES = 8
LEVERAGE_MAX = 125


# What v3 of GET account tells of a position; v2 tells all.
V3_POSITION = (
    "symbol", "positionSide", "positionAmt", "unrealizedProfit", "isolatedMargin", "notional",
    "isolatedWallet", "initialMargin", "maintMargin", "updateTime",
)  # fmt: skip


def futures_account(venue: Venue, call: Call) -> Answer:
    """GET account (v3): totals, assets, and the positions that are not flat; no word of rights."""
    account = call.owner
    assets = [_futures_asset(venue, account, asset) for asset in sorted(account.balances)]
    total = next((asset for asset in assets if asset["asset"] == "USDT"), {})
    names = (
        "initialMargin", "maintMargin", "walletBalance", "unrealizedProfit", "marginBalance",
        "positionInitialMargin", "openOrderInitialMargin", "crossWalletBalance",
    )  # fmt: skip
    reply: Json = {f"total{name[0].upper()}{name[1:]}": total.get(name, "0") for name in names}
    reply["totalCrossUnPnl"] = total.get("unrealizedProfit", "0")
    return reply | {
        "availableBalance": total.get("availableBalance", "0"),
        "maxWithdrawAmount": total.get("availableBalance", "0"),
        "assets": assets,
        "positions": [
            {name: row[name] for name in V3_POSITION}
            for (symbol, side), position in _shown(venue, account)
            for row in (_position(venue, account, symbol, side, position),)
        ],
    }


def futures_account_v2(venue: Venue, call: Call) -> Answer:
    """GET account (v2): the same, with the account's rights and more of each position."""
    account = call.owner
    v3 = futures_account(venue, call)
    assert isinstance(v3, dict), "v3 answers an object"
    return v3 | {
        "feeTier": 0,
        "canTrade": True,
        "canDeposit": True,
        "canWithdraw": True,
        "multiAssetsMargin": False,
        "tradeGroupId": -1,
        "updateTime": 0,
        "positions": [
            _position(venue, account, symbol, side, position)
            for (symbol, side), position in _shown(venue, account)
        ],
    }


def _futures_asset(venue: Venue, account: Account, asset: str) -> Json:
    middle = venue.quotes.middle
    wallet = account.balances.get(asset, ZERO)
    is_margin = asset == "USDT"
    profit = unrealized(account, middle) if is_margin else ZERO
    positions = position_margin(account, venue.policy, middle) if is_margin else ZERO
    open_orders = venue.book.open_orders(account.name)
    orders = order_margin(account, venue.policy, open_orders, middle) if is_margin else ZERO
    available = available_margin(venue, account.name) if is_margin else wallet
    amounts = {
        "walletBalance": wallet,
        "unrealizedProfit": profit,
        "marginBalance": wallet + profit,
        "maintMargin": ZERO,
        "initialMargin": positions + orders,
        "positionInitialMargin": positions,
        "openOrderInitialMargin": orders,
        "crossWalletBalance": wallet,
        "crossUnPnl": profit,
        "availableBalance": max(available, ZERO),
        "maxWithdrawAmount": max(available, ZERO),
    }
    shown: Json = {name: plain(amount, PLACES) for name, amount in amounts.items()}
    # A client in wide use leaves out assets that were never updated.
    return {"asset": asset, **shown, "marginAvailable": True, "updateTime": venue.timeline.now_ms}


def futures_balance(venue: Venue, call: Call) -> Answer:
    """GET balance (v3): one row an asset."""
    rows = (_futures_asset(venue, call.owner, asset) for asset in sorted(call.owner.balances))
    return [
        {
            "accountAlias": "loopback",
            "asset": row["asset"],
            "balance": row["walletBalance"],
            "crossWalletBalance": row["crossWalletBalance"],
            "crossUnPnl": row["crossUnPnl"],
            "availableBalance": row["availableBalance"],
            "maxWithdrawAmount": row["maxWithdrawAmount"],
            "marginAvailable": True,
            "updateTime": row["updateTime"],
        }
        for row in rows
    ]


def position_risk(venue: Venue, call: Call) -> Answer | Refusal:
    """GET positionRisk (v3): positions that are not flat or have open orders; v2 shows all."""
    symbol = call.params.get("symbol")
    if symbol is not None and symbol not in venue.rules:
        return refusals.INVALID_SYMBOL
    account = call.owner
    return [
        _position(venue, account, name, side, position)
        for (name, side), position in _shown(venue, account)
        if symbol in (None, name)
    ]


def position_risk_v2(venue: Venue, call: Call) -> Answer | Refusal:
    """GET positionRisk (v1, v2): every symbol, flat or not."""
    symbol = call.params.get("symbol")
    if symbol is not None and symbol not in venue.rules:
        return refusals.INVALID_SYMBOL
    account = call.owner
    sides = ("LONG", "SHORT") if account.hedge else ("BOTH",)
    return [
        _position(venue, account, name, side, account.positions.get((name, side), Position()))
        for name in sorted(venue.rules)
        for side in sides
        if symbol in (None, name)
    ]


def _shown(venue: Venue, account: Account) -> list[tuple[tuple[str, str], Position]]:
    """What v3 tells of: positions that are not flat, and those that open orders would change."""
    names = {name for name, _ in held(account)}
    orders = venue.book.open_orders(account.name)
    names |= {(order.terms.symbol, order.terms.position_side) for order in orders}
    return [(name, account.positions.get(name, Position())) for name in sorted(names)]


def _position(venue: Venue, account: Account, symbol: str, side: str, position: Position) -> Json:
    rules, mark = venue.rules[symbol], venue.quotes.middle(symbol)
    notional = position.qty * mark
    leverage = account.leverage_of(symbol, venue.policy)
    margin = plain(abs(notional) / leverage, PLACES)
    return {
        "symbol": symbol,
        "positionSide": side,
        "positionAmt": plain(position.qty, rules.qty_precision),
        "entryPrice": plain(position.entry, PLACES),
        "breakEvenPrice": plain(position.entry, PLACES),
        "markPrice": plain(mark, PLACES),
        "unRealizedProfit": plain(position.qty * (mark - position.entry), PLACES),
        "unrealizedProfit": plain(position.qty * (mark - position.entry), PLACES),
        "liquidationPrice": "0",
        "isolatedMargin": "0",
        "isolatedWallet": "0",
        "notional": plain(notional, PLACES),
        "marginAsset": rules.quote_asset,
        "initialMargin": margin,
        "maintMargin": "0",
        "positionInitialMargin": margin,
        "openOrderInitialMargin": "0",
        "adl": 0,
        "bidNotional": "0",
        "askNotional": "0",
        "leverage": plain(leverage, 0),
        "marginType": "cross",
        "updateTime": position.updated_ms,
    }


def position_mode(venue: Venue, call: Call) -> Answer:
    """GET positionSide/dual: true is hedge mode."""
    return {"dualSidePosition": call.owner.hedge}


def set_position_mode(venue: Venue, call: Call) -> Answer | Refusal:
    """POST positionSide/dual: only an account without orders and positions may change it."""
    if "dualSidePosition" not in call.params:
        return mandatory("dualSidePosition")
    account, hedge = call.owner, call.params["dualSidePosition"].lower() == "true"
    if account.hedge is hedge:
        return refusals.NO_NEED_TO_CHANGE_MODE
    if any(True for _ in venue.book.open_orders(account.name)):
        return refusals.MODE_HAS_ORDERS
    if held(account):
        return refusals.MODE_HAS_POSITIONS
    account.hedge = hedge
    venue.journal.write("mode", account=account.name, hedge=hedge)
    return {"code": 200, "msg": "success"}


def set_leverage(venue: Venue, call: Call) -> Answer | Refusal:
    """POST leverage: for one symbol."""
    symbol, leverage = call.params.get("symbol"), call.number("leverage")
    if symbol is None or leverage is None:
        return mandatory("symbol" if symbol is None else "leverage")
    if symbol not in venue.rules:
        return refusals.INVALID_SYMBOL
    if not 1 <= leverage <= LEVERAGE_MAX:
        return Refusal(400, -4028, f"Leverage {leverage} is not valid")
    account = call.owner
    account.leverage[symbol] = Decimal(leverage)
    venue.journal.write("leverage", account=account.name, symbol=symbol, leverage=Decimal(leverage))
    return {"leverage": leverage, "maxNotionalValue": "1000000000", "symbol": symbol}


def leverage_brackets(venue: Venue, call: Call) -> Answer | Refusal:
    """GET leverageBracket: one a symbol, without maintenance margin, for nothing is liquidated."""
    symbol = call.params.get("symbol")
    if symbol is not None and symbol not in venue.rules:
        return refusals.INVALID_SYMBOL
    bracket: Json = {
        "bracket": 1,
        "initialLeverage": LEVERAGE_MAX,
        "notionalFloor": 0,
        "notionalCap": 1_000_000_000,
        "maintMarginRatio": 0,
        "cum": 0,
    }
    return [
        {"symbol": name, "notionalCoef": 1, "brackets": [bracket]}
        for name in sorted(venue.rules)
        if symbol in (None, name)
    ]


def multi_assets_mode(venue: Venue, call: Call) -> Answer:
    """GET multiAssetsMargin: each asset stands for itself."""
    return {"multiAssetsMargin": False}


def spot_account(venue: Venue, call: Call) -> Answer:
    """GET account: what is free and what open orders hold back."""
    account = call.owner
    locked = venue.matcher.locked_of(account)
    assets = sorted(account.balances)
    fees = venue.policy
    return {
        "makerCommission": 2,
        "takerCommission": 5,
        "buyerCommission": 0,
        "sellerCommission": 0,
        "commissionRates": {
            "maker": plain(fees.maker_fee, PLACES),
            "taker": plain(fees.taker_fee, PLACES),
            "buyer": "0.00000000",
            "seller": "0.00000000",
        },
        # The account's rights; those of the key stand in apiRestrictions.
        "canTrade": True,
        "canWithdraw": True,
        "canDeposit": True,
        "brokered": False,
        "requireSelfTradePrevention": False,
        "preventSor": False,
        "updateTime": venue.timeline.now_ms,
        "accountType": "SPOT",
        "balances": [
            {
                "asset": asset,
                "free": plain(account.balances[asset] - locked.get(asset, ZERO), PLACES),
                "locked": plain(locked.get(asset, ZERO), PLACES),
            }
            for asset in assets
        ],
        "permissions": ["SPOT"],
        "uid": 1,
    }


def api_restrictions(venue: Venue, call: Call) -> Answer:
    """GET apiRestrictions: what this key may do."""
    key = call.key
    assert key is not None, "a signed request has a key"
    return {
        "ipRestrict": key.ip_restricted,
        "createTime": 0,
        "enableReading": True,
        "enableWithdrawals": key.may_withdraw,
        "enableInternalTransfer": False,
        "enableMargin": False,
        "enableFutures": key.may_trade and venue.market == "futures",
        "permitsUniversalTransfer": False,
        "enableVanillaOptions": False,
        "enableFixApiTrade": False,
        "enableFixReadOnly": True,
        "enableSpotAndMarginTrading": key.may_trade and venue.market == "spot",
        "enablePortfolioMarginTrading": False,
    }


def create_listen_key(venue: Venue, call: Call) -> Answer:
    """POST listenKey: the account's key, with 60 minutes to live."""
    return {"listenKey": venue.streams.create(call.owner.name)}


def extend_listen_key(venue: Venue, call: Call) -> Answer | Refusal:
    """PUT listenKey: 60 more minutes."""
    key = venue.streams.extend(call.owner.name)
    return refusals.INVALID_LISTEN_KEY if key is None else {"listenKey": key}


def close_listen_key(venue: Venue, call: Call) -> Answer | Refusal:
    """DELETE listenKey: the stream ends."""
    return {} if venue.streams.close(call.owner.name) else refusals.INVALID_LISTEN_KEY
