"""Signing: the published examples byte for byte, and keys that show themselves nowhere."""

from __future__ import annotations

import base64
import copy
import pickle
import traceback
from urllib.parse import parse_qsl, unquote

import pytest
from cryptography.hazmat.primitives.asymmetric import ed25519, rsa
from cryptography.hazmat.primitives.serialization import (
    BestAvailableEncryption,
    Encoding,
    KeySerializationEncryption,
    NoEncryption,
    PrivateFormat,
)
from hypothesis import given
from hypothesis import strategies as st

from adapters.binance.signing import (
    Ed25519Signer,
    HmacSigner,
    SigningKeyError,
    encode,
    signed,
    signer_of,
)

FUTURES_SECRET = "2b5eb11e18796d12d88f13dc27dbbd02c2cc51ff7059765ed9821957d82bb4d9"
SPOT_SECRET = "NhqPtmdSJYdKjVHjA7PZj4Mge3R5YNiP1e3UZjInClVN65XAbvqqM6A7H5fATj0j"
API_KEY = "vmPUZE6mv9SD5VNHk4HlWFsOr6aKE2zvsw0MuIgwCIPy6utIco14y7Ju91duEh8A"
# The published examples: secret, query, body, signature.
VECTORS = {
    "futures": (
        FUTURES_SECRET,
        "symbol=BTCUSDT&side=BUY&type=LIMIT&quantity=1&price=9000&timeInForce=GTC&recvWindow=5000"
        "&timestamp=1591702613943",
        "",
        "3c661234138461fcc7a7d8746c6558c9842d4e10870d2ecbedf7777cad694af9",
    ),
    "spot": (
        SPOT_SECRET,
        "symbol=LTCBTC&side=BUY&type=LIMIT&timeInForce=GTC&quantity=1&price=0.1&recvWindow=5000"
        "&timestamp=1499827319559",
        "",
        "c8db56825ae71d6d79447849e617115f4a920fa2acdcab2b053c4b2838bd6b71",
    ),
    "spot, query and body": (
        SPOT_SECRET,
        "symbol=LTCBTC&side=BUY&type=LIMIT&timeInForce=GTC",
        "quantity=1&price=0.1&recvWindow=5000&timestamp=1499827319559",
        "0fd168b8ddb4876a0358a8d14d0c9f3da0e9b20c5d52b2a00fcf7d1c602f9a77",
    ),
    "spot, percent-encoded": (
        SPOT_SECRET,
        "symbol=%EF%BC%91%EF%BC%92%EF%BC%93%EF%BC%94%EF%BC%95%EF%BC%96&side=BUY&type=LIMIT&timeInForce=GTC"
        "&quantity=1&price=0.1&recvWindow=5000&timestamp=1499827319559",
        "",
        "e1353ec6b14d888f1164ae9af8228a3dbd508bc82eb867db8ab6046442f33ef3",
    ),
}


@pytest.fixture(scope="module")
def private_key() -> ed25519.Ed25519PrivateKey:
    return ed25519.Ed25519PrivateKey.generate()


def pem_of(
    key: ed25519.Ed25519PrivateKey | rsa.RSAPrivateKey,
    encryption: KeySerializationEncryption | None = None,
) -> str:
    return key.private_bytes(Encoding.PEM, PrivateFormat.PKCS8, encryption or NoEncryption()).decode("ascii")


@pytest.mark.parametrize("name", VECTORS)
def test_a_published_example_gets_its_published_signature(name: str) -> None:
    secret, query, body, signature = VECTORS[name]

    assert HmacSigner(API_KEY, secret).sign((query + body).encode("ascii")) == signature


@pytest.mark.parametrize("name", ["futures", "spot", "spot, percent-encoded"])
def test_the_parameters_of_a_published_example_become_its_bytes(name: str) -> None:
    secret, query, _, signature = VECTORS[name]
    params = parse_qsl(query, strict_parsing=True)

    assert encode(params) == query
    assert signed(params, HmacSigner(API_KEY, secret)) == f"{query}&signature={signature}"


def test_one_signer_signs_many_payloads_alike() -> None:
    secret, query, _, signature = VECTORS["futures"]
    signer = HmacSigner(API_KEY, secret)

    signer.sign(b"something else")

    assert signer.sign(query.encode("ascii")) == signature


@given(st.lists(st.tuples(st.text(min_size=1), st.text(min_size=1)), min_size=1, max_size=5))
def test_encoding_loses_nothing_and_needs_no_second_encoding(params: list[tuple[str, str]]) -> None:
    text = encode(params)

    assert parse_qsl(text, keep_blank_values=True) == params
    assert text.isascii()
    assert set(text) <= set("ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789-._~%&=")


def test_blanks_are_percent_encoded_and_never_a_plus() -> None:
    assert encode([("a", "b c+d")]) == "a=b%20c%2Bd"


def test_an_ed25519_signature_is_percent_encoded_base64_that_verifies(
    private_key: ed25519.Ed25519PrivateKey,
) -> None:
    signer = Ed25519Signer(API_KEY, pem_of(private_key))
    params = [("symbol", "BTCUSDT"), ("timestamp", "1700000000000")]

    # Many payloads, so that each of `+`, `/` and `=` occurs in some signature.
    for number in range(50):
        text = signed([*params, ("n", str(number))], signer)
        payload, signature = text.split("&signature=")
        assert not set(signature) & set("+/=")
        private_key.public_key().verify(base64.b64decode(unquote(signature)), payload.encode("ascii"))


def test_the_secret_decides_how_it_is_signed(private_key: ed25519.Ed25519PrivateKey) -> None:
    assert isinstance(signer_of(API_KEY, SPOT_SECRET), HmacSigner)
    assert isinstance(signer_of(API_KEY, "\n" + pem_of(private_key)), Ed25519Signer)


@pytest.mark.parametrize("value", ["", " q7x", "q7x\r\nX-Evil: 1", "q7x\u00e9", "q7x\n", "q7\tx", "q7x\x7f"])
def test_a_key_or_secret_that_is_no_plain_text_is_refused_without_being_shown(value: str) -> None:
    for make in (lambda: HmacSigner(value, "secret"), lambda: HmacSigner("key", value)):
        with pytest.raises(SigningKeyError) as caught:
            make()

        assert "q7" not in str(caught.value)


def test_a_private_key_that_cannot_sign_is_refused_without_being_shown(
    private_key: ed25519.Ed25519PrivateKey,
) -> None:
    good = pem_of(private_key)
    middle = good.splitlines()[1]
    encrypted = pem_of(private_key, BestAvailableEncryption(b"pass phrase"))
    foreign = pem_of(rsa.generate_private_key(public_exponent=65537, key_size=2048))
    for pem in (
        good.replace(middle, middle[:-8]),
        "-----BEGIN PRIVATE KEY-----",
        encrypted,
        foreign,
        "\udcff",
    ):
        with pytest.raises(SigningKeyError) as caught:
            Ed25519Signer(API_KEY, pem)

        shown = "".join(traceback.format_exception(caught.value, chain=True))
        assert not any(line and line in shown for line in pem.splitlines()[1:-1])
        assert caught.value.__context__ is None or caught.value.__suppress_context__


def test_no_text_made_of_a_signer_holds_its_key(private_key: ed25519.Ed25519PrivateKey) -> None:
    pem = pem_of(private_key)
    for signer, secret in (
        (HmacSigner(API_KEY, SPOT_SECRET), SPOT_SECRET),
        (Ed25519Signer(API_KEY, pem), pem.splitlines()[1]),
    ):
        for text in (repr(signer), str(signer), f"{signer}", f"{[signer]!r}"):
            assert secret not in text
            assert API_KEY not in text
        assert not hasattr(signer, "__dict__")


def test_a_signer_is_neither_pickled_nor_copied() -> None:
    signer = HmacSigner(API_KEY, SPOT_SECRET)

    for use in (pickle.dumps, copy.copy):
        with pytest.raises(TypeError):
            use(signer)
