"""The log-on signature: proof that a participant holds the key of its credential, for one connection
only.
"""

from __future__ import annotations

from typing import Final

from engine.signed_order import keccak256, recover_signer, sign_digest

CHALLENGE_BYTES: Final = 32
_PREFIX: Final = b"ABST logon"


def logon_digest(challenge: bytes) -> bytes:
    """Return the 32 bytes that a participant signs for the challenge of its connection."""
    return keccak256(_PREFIX + challenge)


def sign_logon(challenge: bytes, private_key: bytes) -> bytes:
    """Return the 65-byte log-on signature of a 32-byte key."""
    return sign_digest(logon_digest(challenge), private_key)


def recover_logon(challenge: bytes, signature: bytes) -> bytes:
    """Return the address (20 bytes) that signed. Raises SignatureError (ValueError) for a malformed one."""
    return recover_signer(logon_digest(challenge), signature)
