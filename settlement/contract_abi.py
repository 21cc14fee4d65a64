"""The compiled contracts as Python sees them: ABI, bytecode, calls, events, errors.

Read from ``settlement/contracts/artifacts`` (shipped in the wheel; ``python -m settlement.compile_contracts``
makes them in a source tree). Values are those of ``eth_abi``, addresses in results are 20 bytes.
"""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from enum import StrEnum
from functools import cache
from typing import Any

from eth_abi.abi import decode, encode

from engine.signed_order import keccak256
from settlement.compile_contracts import ARTIFACTS_DIR


class ContractName(StrEnum):
    """The deployable contracts."""

    COUNTRY_COMPLIANCE = "CountryCompliance"
    DVP = "DvP"
    IDENTITY_REGISTRY = "IdentityRegistry"
    TEST_CASH = "TestCash"
    TRANCHE_TOKEN = "TrancheToken"
    VAULT = "Vault"


class ArtifactMissingError(Exception):
    """A contract was never compiled here; the message says how to."""


@dataclass(frozen=True, slots=True)
class Signature:
    """One function, event or error of an ABI: its canonical text and types."""

    name: str
    text: str
    input_types: tuple[str, ...]
    input_names: tuple[str, ...]
    indexed: tuple[bool, ...] = ()
    output_types: tuple[str, ...] = ()

    @property
    def selector(self) -> bytes:
        """First four bytes of the hash: of a call's or an error's data."""
        return keccak256(self.text.encode())[:4]

    @property
    def topic(self) -> bytes:
        """The whole hash: the first topic of an event."""
        return keccak256(self.text.encode())


@dataclass(frozen=True, slots=True)
class ContractAbi:
    """ABI and creation code of one contract. ``errors`` by selector, ``events`` by topic, ``functions`` by
    name."""

    name: str
    bytecode: bytes
    constructor_types: tuple[str, ...]
    functions: Mapping[str, Signature]
    events: Mapping[bytes, Signature]
    errors: Mapping[bytes, Signature]
    entries: Sequence[Mapping[str, Any]] = field(repr=False)

    def creation(self, *arguments: Any) -> bytes:
        """Data of the transaction that deploys the contract with these constructor arguments."""
        return self.bytecode + encode(self.constructor_types, arguments)

    def call(self, function: str, *arguments: Any) -> bytes:
        """Data of a call of ``function``. Raises KeyError for one the contract does not have."""
        signature = self.functions[function]
        return signature.selector + encode(signature.input_types, arguments)

    def result(self, function: str, data: bytes) -> Any:
        """What ``function`` returned: one value, or a tuple where it returns several."""
        values = _plain(decode(self.functions[function].output_types, data))
        return values[0] if len(values) == 1 else values

    def event(self, name: str) -> Signature:
        """The event of a name. Raises KeyError."""
        return next(event for event in self.events.values() if event.name == name)


@dataclass(frozen=True, slots=True)
class DecodedEvent:
    """An event with its arguments by name."""

    name: str
    arguments: Mapping[str, Any]


@cache
def contract_abi(name: ContractName) -> ContractAbi:
    """Load a contract. Raises ArtifactMissingError when it is not compiled."""
    path = ARTIFACTS_DIR / f"{name}.json"
    try:
        artifact = json.loads(path.read_text())
    except FileNotFoundError as error:
        raise ArtifactMissingError(
            f"{path} is missing: run `python -m settlement.compile_contracts`"
        ) from error
    return parse_artifact(artifact)


def parse_artifact(artifact: Mapping[str, Any]) -> ContractAbi:
    """A contract from what the compile script wrote."""
    entries = artifact["abi"]
    of_type = {kind: [e for e in entries if e["type"] == kind] for kind in ("function", "event", "error")}
    constructor: Mapping[str, Any] = next((e for e in entries if e["type"] == "constructor"), {"inputs": []})
    errors, events = map(_signature, of_type["error"]), map(_signature, of_type["event"])
    return ContractAbi(
        name=artifact["contract"],
        bytecode=bytes.fromhex(artifact["bytecode"][2:]),
        constructor_types=tuple(map(_type, constructor["inputs"])),
        functions={e["name"]: _signature(e) for e in of_type["function"]},
        events={event.topic: event for event in events},
        errors={error.selector: error for error in errors},
        entries=entries,
    )


def decode_event(abi: ContractAbi, topics: Sequence[bytes], data: bytes) -> DecodedEvent | None:
    """The event of a log, or None when the contract has no such event."""
    signature = abi.events.get(topics[0]) if topics else None
    if signature is None:
        return None
    named = list(zip(signature.input_names, signature.input_types, signature.indexed, strict=True))
    in_topics = [(name, kind) for name, kind, indexed in named if indexed]
    in_data = [(name, kind) for name, kind, indexed in named if not indexed]
    values = {
        name: _plain(decode([kind], topic)[0]) if not _is_dynamic(kind) else bytes(topic)
        for (name, kind), topic in zip(in_topics, topics[1:], strict=True)
    }
    plain = _plain(decode([kind for _, kind in in_data], data))
    values.update(zip((name for name, _ in in_data), plain, strict=True))
    return DecodedEvent(signature.name, {name: values[name] for name in signature.input_names})


def _signature(entry: Mapping[str, Any]) -> Signature:
    types = tuple(map(_type, entry["inputs"]))
    return Signature(
        name=entry["name"],
        text=f"{entry['name']}({','.join(types)})",
        input_types=types,
        input_names=tuple(each["name"] for each in entry["inputs"]),
        indexed=tuple(bool(each.get("indexed")) for each in entry["inputs"]),
        output_types=tuple(map(_type, entry.get("outputs", ()))),
    )


def _type(parameter: Mapping[str, Any]) -> str:
    """Canonical type: a struct becomes the tuple of its parts."""
    kind: str = parameter["type"]
    if not kind.startswith("tuple"):
        return kind
    parts = ",".join(map(_type, parameter["components"]))
    return f"({parts}){kind.removeprefix('tuple')}"


def _is_dynamic(kind: str) -> bool:
    """Whether a topic holds only the hash of a value of this type."""
    return kind in ("string", "bytes") or kind.endswith("]") or kind.startswith("(")


def _plain(value: Any) -> Any:
    """Addresses, which ``eth_abi`` gives as hex text, as 20 bytes; tuples as tuples."""
    if isinstance(value, str) and len(value) == 42 and value.startswith("0x"):
        return bytes.fromhex(value[2:])
    if isinstance(value, list | tuple):
        return tuple(map(_plain, value))
    return value
