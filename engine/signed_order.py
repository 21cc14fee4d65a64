"""Orders as investors sign them: the EIP-712 type, its digest, signing and recovery.

Pure: no I/O, no clock. The gateway checks with it what the DvP contract will check on chain, the SDK signs
with it, settlement and the attestor hash with it. The struct is hashed by hand because the general encoder of
``eth_account`` costs some 110 us an order and this some 5 us; the tests hold the two equal.

Source: EIP-712 (typed data), EIP-2 (low s), EIP-2098 (compact signatures). Errors:
SignatureError(ValueError).
"""

from __future__ import annotations

from dataclasses import dataclass
from functools import lru_cache
from typing import Final

from coincurve import PrivateKey, PublicKey
from sha3 import keccak_256

SIDE_BUY: Final = 1
SIDE_SELL: Final = 2

KIND_ONCE: Final = 0
"""All fills of the order settle in one batch, which spends its nonce (one bit on chain); it has no later
version."""
KIND_STANDING: Final = 1
"""Fills may settle over many batches; the chain keeps filled quantity and highest version under (account,
nonce)."""

ORDER_TYPE: Final = (
    b"Order(address account,address trancheToken,address cashToken,uint8 side,uint8 kind,"
    b"uint64 quantityLots,uint64 limitPriceTicks,uint128 cashLimitPerLot,uint128 feeLimit,"
    b"uint64 validUntil,uint64 nonce,uint32 version)"
)
DOMAIN_TYPE: Final = b"EIP712Domain(string name,string version,uint256 chainId,address verifyingContract)"
DOMAIN_NAME: Final = "ABST DvP"
DOMAIN_VERSION: Final = "1"

_CURVE_ORDER: Final = 0xFFFFFFFFFFFFFFFFFFFFFFFFFFFFFFFEBAAEDCE6AF48A03BBFD25E8CD0364141
_HALF_CURVE_ORDER: Final = _CURVE_ORDER // 2
_TWELVE_ZEROS: Final = bytes(12)


class SignatureError(ValueError):
    """A signature that proves nothing: wrong length, out of range, malleable (high s), or of no key."""


def keccak256(data: bytes) -> bytes:
    """Keccak-256 as Ethereum uses it (not NIST SHA-3); 32 bytes."""
    digest: bytes = keccak_256(data).digest()
    return digest


_ORDER_TYPE_HASH: Final = keccak256(ORDER_TYPE)


@dataclass(frozen=True, slots=True)
class SignedOrder:
    """What the investor signs; fields, order and widths are those of the EIP-712 type ``Order``.

    ``account``, ``tranche_token``, ``cash_token``: 20-byte addresses. ``side``: SIDE_BUY or SIDE_SELL.
    ``kind``: KIND_ONCE or KIND_STANDING. ``quantity_lots``: total quantity, what filled included.
    ``limit_price_ticks``: clean limit. ``cash_limit_per_lot``: dirty limit in minor units per lot; the most a
    buyer pays, the least a seller gets. ``fee_limit``: most fee for the whole order, minor units.
    ``valid_until``: unix seconds, judged at match time. ``nonce``: names the order within (account, kind).
    ``version``: raised by each replacement, from 0.
    """

    account: bytes
    tranche_token: bytes
    cash_token: bytes
    side: int
    kind: int
    quantity_lots: int
    limit_price_ticks: int
    cash_limit_per_lot: int
    fee_limit: int
    valid_until: int
    nonce: int
    version: int


@dataclass(frozen=True, slots=True)
class Domain:
    """The EIP-712 domain: one DvP contract (20-byte address) on one chain. Name and version are fixed."""

    chain_id: int
    verifying_contract: bytes


def address_word(address: bytes) -> bytes:
    """A 20-byte address as an ABI word. Raises ValueError for another length."""
    if len(address) != 20:
        raise ValueError(f"an address has 20 bytes, not {len(address)}")
    return _TWELVE_ZEROS + address


def uint_word(value: int, bits: int) -> bytes:
    """An unsigned integer as an ABI word. Raises ValueError when it does not fit ``bits``."""
    if value < 0 or value >> bits:
        raise ValueError(f"{value} does not fit uint{bits}")
    return value.to_bytes(32, "big")


@lru_cache(maxsize=64)
def domain_separator(domain: Domain) -> bytes:
    """The EIP-712 domain separator; 32 bytes."""
    return keccak256(
        keccak256(DOMAIN_TYPE)
        + keccak256(DOMAIN_NAME.encode())
        + keccak256(DOMAIN_VERSION.encode())
        + uint_word(domain.chain_id, 256)
        + address_word(domain.verifying_contract)
    )


def typed_digest(domain: Domain, struct_hash: bytes) -> bytes:
    """The EIP-712 digest of a struct hash in a domain; 32 bytes, what is signed."""
    return keccak256(b"\x19\x01" + domain_separator(domain) + struct_hash)


def order_struct_hash(order: SignedOrder) -> bytes:
    """``hashStruct(order)`` of EIP-712; 32 bytes. Raises ValueError for a field that does not fit its
    type."""
    return keccak256(
        b"".join(
            (
                _ORDER_TYPE_HASH,
                address_word(order.account),
                address_word(order.tranche_token),
                address_word(order.cash_token),
                uint_word(order.side, 8),
                uint_word(order.kind, 8),
                uint_word(order.quantity_lots, 64),
                uint_word(order.limit_price_ticks, 64),
                uint_word(order.cash_limit_per_lot, 128),
                uint_word(order.fee_limit, 128),
                uint_word(order.valid_until, 64),
                uint_word(order.nonce, 64),
                uint_word(order.version, 32),
            )
        )
    )


def order_digest(domain: Domain, order: SignedOrder) -> bytes:
    """The digest an investor signs for an order; 32 bytes. Raises ValueError for a field out of range."""
    return typed_digest(domain, order_struct_hash(order))


def sign_digest(digest: bytes, private_key: bytes) -> bytes:
    """Sign 32 bytes with a 32-byte key: r, s, v (v 27 or 28), 65 bytes, deterministic (RFC 6979), low s."""
    signature = PrivateKey(private_key).sign_recoverable(digest, hasher=None)
    return signature[:64] + bytes((27 + signature[64],))


def sign_order(digest: bytes, private_key: bytes) -> bytes:
    """Sign the digest of an order, as ``order_digest`` gives it; see ``sign_digest``."""
    return sign_digest(digest, private_key)


def compact_signature(signature: bytes) -> bytes:
    """The 64-byte form of EIP-2098 (r, then s with v in its top bit) of a 65- or 64-byte signature.

    Raises SignatureError for a wrong length, a ``v`` that is neither 27 nor 28, or a high or zero ``s`` or
    ``r``.
    """
    r, s, parity = _split(signature)
    return r.to_bytes(32, "big") + (s | parity << 255).to_bytes(32, "big")


def recover_signer(digest: bytes, signature: bytes) -> bytes:
    """Address (20 bytes) whose key signed the digest. Takes 65 bytes (r, s, v) or 64 (EIP-2098).

    Raises SignatureError when the signature is malformed, malleable, or of no key.
    """
    r, s, parity = _split(signature)
    plain = r.to_bytes(32, "big") + s.to_bytes(32, "big") + bytes((parity,))
    try:
        public_key = PublicKey.from_signature_and_message(plain, digest, hasher=None)
    except Exception as error:  # coincurve raises bare Exception for a point not on the curve
        raise SignatureError("the signature is of no key") from error
    return keccak256(public_key.format(compressed=False)[1:])[12:]


def address_of(private_key: bytes) -> bytes:
    """The address (20 bytes) of a 32-byte private key."""
    return keccak256(PrivateKey(private_key).public_key.format(compressed=False)[1:])[12:]


def _split(signature: bytes) -> tuple[int, int, int]:
    """r, s and the parity (0 or 1) of a signature that is well formed; SignatureError otherwise."""
    r = int.from_bytes(signature[:32], "big")
    s = int.from_bytes(signature[32:64], "big")
    if len(signature) == 64:
        parity, s = s >> 255, s & (1 << 255) - 1
    elif len(signature) == 65 and signature[64] in (27, 28):
        parity = signature[64] - 27
    else:
        raise SignatureError("a signature has 65 bytes with v 27 or 28, or 64 bytes (EIP-2098)")
    if not 0 < r < _CURVE_ORDER or not 0 < s <= _HALF_CURVE_ORDER:
        raise SignatureError("r or s of the signature is out of range, or s is the malleable half")
    return r, s, parity
