"""Signing: the same call gives the same bytes, from the key's address, for one chain."""

from eth_account import Account

from engine.signed_order import address_of, keccak256
from settlement.fees import Fees
from settlement.signer import Signer

KEY = keccak256(b"key of operator")
CALL = {"nonce": 3, "to": b"\x01" * 20, "data": b"\xab\xcd", "gas_limit": 100_000, "fees": Fees(20, 5)}


def test_the_same_call_is_signed_with_the_same_bytes() -> None:
    assert Signer(KEY, 31337).sign(**CALL) == Signer(KEY, 31337).sign(**CALL)


def test_another_chain_gives_other_bytes() -> None:
    assert Signer(KEY, 31337).sign(**CALL).raw != Signer(KEY, 1).sign(**CALL).raw


def test_the_sender_is_the_address_of_the_key_and_the_hash_that_of_the_bytes() -> None:
    signer = Signer(KEY, 31337)
    signed = signer.sign(**CALL)
    assert signer.address == address_of(KEY)
    assert Account.recover_transaction(signed.raw) == Account.from_key(KEY).address
    assert signed.hash == keccak256(signed.raw)
