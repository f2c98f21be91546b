"""Hosts: constants, and nothing but loopback may stand in for them."""

from __future__ import annotations

import pytest

from adapters.binance.market import (
    PATHS,
    SOCKET_API_PATH,
    WEIGHTS,
    HostError,
    HostMode,
    Hosts,
    Market,
    hosts_of,
    is_loopback,
    loopback_hosts,
    stream_path,
)


@pytest.mark.parametrize("market", Market)
@pytest.mark.parametrize("mode", ["live", "testnet"])
def test_every_real_host_is_encrypted(market: Market, mode: HostMode) -> None:
    hosts = hosts_of(market, mode)

    assert hosts.rest_url.startswith("https://")
    assert not hosts.rest_url.endswith("/")
    assert hosts.stream_url is None or hosts.stream_url.startswith("wss://")


def test_demo_orders_go_to_demo_hosts_alone() -> None:
    for market in Market:
        demo, live = hosts_of(market, "testnet"), hosts_of(market, "live")
        assert not {demo.rest_url, demo.stream_url} & {live.rest_url, live.stream_url or "-"}


def test_the_rights_of_a_futures_key_are_asked_for_on_the_spot_host() -> None:
    assert hosts_of(Market.FUTURES, "live").permissions_url == "https://api.binance.com"
    assert hosts_of(Market.FUTURES, "testnet").permissions_url is None


@pytest.mark.parametrize("market", Market)
def test_every_path_begins_with_a_slash_and_every_weight_is_counted(market: Market) -> None:
    paths = [getattr(PATHS[market], name) for name in PATHS[market].__struct_fields__]

    assert all(path is None or path.startswith("/") for path in paths)
    assert WEIGHTS[market].new_order == (0 if market is Market.FUTURES else 1)


def test_a_loopback_host_serves_rest_and_stream() -> None:
    assert loopback_hosts("http://127.0.0.1:8080/") == Hosts(
        rest_url="http://127.0.0.1:8080",
        stream_url="ws://127.0.0.1:8080",
        permissions_url="http://127.0.0.1:8080",
    )
    assert loopback_hosts("https://localhost:1").stream_url == "wss://localhost:1"
    split = loopback_hosts("http://127.0.0.1:1", "ws://[::1]:2")
    assert split.stream_url == "ws://[::1]:2"


def test_spot_tells_its_events_through_the_websocket_api() -> None:
    assert PATHS[Market.SPOT].listen_key is None
    assert hosts_of(Market.SPOT, "live").stream_url == "wss://ws-api.binance.com:443"
    assert hosts_of(Market.SPOT, "testnet").stream_url == "wss://ws-api.testnet.binance.vision"
    assert SOCKET_API_PATH == "/ws-api/v3"


@pytest.mark.parametrize(
    "url",
    [
        "https://fapi.binance.com",
        "http://127.0.0.1.example.com",
        "http://localhost.example.com",
        "http://example.com#127.0.0.1",
        "http://127.0.0.1@example.com",
        "http://user:word@127.0.0.1",
        "http://127.0.0.1/path",
        "http://127.0.0.1?x=1",
        "http://0.0.0.0",
        "http://10.0.0.1",
        "http://127.0.0.1:99999",
        "ftp://127.0.0.1",
        "127.0.0.1:80",
        "http://[::1",
        "",
    ],
)
def test_anything_else_may_not_stand_in_for_a_host(url: str) -> None:
    with pytest.raises(HostError, match=r"broker\.rest_url may only name a loopback host"):
        loopback_hosts(url)


def test_a_stream_host_must_be_loopback_too() -> None:
    with pytest.raises(HostError, match=r"broker\.stream_url"):
        loopback_hosts("http://127.0.0.1:1", "wss://fstream.binance.com")


def test_loopback_is_this_machine_alone() -> None:
    assert is_loopback("http://127.8.9.1:80")
    assert is_loopback("ws://[::1]/x")
    assert not is_loopback("http://128.0.0.1")
    assert not is_loopback("nonsense")


def test_the_stream_is_asked_for_on_its_routed_path() -> None:
    assert stream_path("abc") == "/private/ws?listenKey=abc"
