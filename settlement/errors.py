"""The settlement service's errors, one tree.

::

    SettlementError
    ├── TransitionError      a step the state tables do not know: our own bug or a second writer
    ├── ChainError           what the node said or did not say
    │   ├── ChainUnavailableError  no answer: it may or may not have acted
    │   ├── ChainRefusedError      a JSON-RPC error, with its code and data
    │   ├── WrongChainError        the node serves another chain than the configured one
    │   └── DeepReorganisationError  the chain lost a block that was final
    └── AlreadyRunningError  another settlement process holds the database's settlement lock
"""

from __future__ import annotations


class SettlementError(Exception):
    """Root of everything the settlement service raises on purpose."""


class TransitionError(SettlementError):
    """A subject was asked to take a step that its present status does not allow; nothing was changed."""


class ChainError(SettlementError):
    """The chain's node did not do what was asked."""


class ChainUnavailableError(ChainError):
    """The node gave no usable answer; whether it acted on the request is unknown."""


class ChainRefusedError(ChainError):
    """The node answered with a JSON-RPC error; ``data`` holds the revert bytes where there are any."""

    def __init__(self, code: int, message: str, data: bytes = b"") -> None:
        super().__init__(f"{message} ({code})")
        self.code = code
        self.message = message
        self.data = data


class WrongChainError(ChainError):
    """The node's chain id is not the configured one; nothing is signed for it."""


class DeepReorganisationError(ChainError):
    """A block that the finality rule called final is not on the chain any more: an operator must look."""


class AlreadyRunningError(SettlementError):
    """Another process settles from this database at the moment."""
