"""docs/API.md says what is so."""

import json
from pathlib import Path
from typing import Any
from zlib import crc32

import gateway
from engine.reasons import Reason
from engine.signed_order import address_of
from gateway.logon import recover_logon, sign_logon
from gateway.session import METHODS

DOCUMENT = (Path(gateway.__file__).parent.parent / "docs" / "API.md").read_text()
SENT = [json.loads(line[2:]) for line in DOCUMENT.splitlines() if line.startswith("→ {")]
RECEIVED = [json.loads(line[2:]) for line in DOCUMENT.splitlines() if line.startswith("← {")]


def test_every_method_is_described() -> None:
    assert [method for method in sorted(METHODS) if f"`{method}`" not in DOCUMENT] == []
    described = {request["method"] for request in SENT}
    logging = {"session.logon", "session.logout", "order.replace", "admin.tranche.list"}
    assert described | logging == METHODS


def test_the_example_of_a_log_on_signature_is_right() -> None:
    challenge = bytes.fromhex(RECEIVED[0]["params"]["challenge"][2:])
    signature = sign_logon(challenge, b"\x02" * 32)
    assert "0x" + signature.hex() in DOCUMENT
    assert recover_logon(challenge, signature) == address_of(b"\x02" * 32)


def test_the_example_of_a_checksum_is_right() -> None:
    deltas = [message["params"] for message in RECEIVED if message.get("params", {}).get("type") == "delta"]
    assert deltas[0]["checksum"] == crc32(b"a:19825:100:1;")


def test_the_reasons_named_with_the_codes_exist() -> None:
    errors = DOCUMENT[DOCUMENT.index("## Errors") :]
    for reason in (701, 702, 703, 704, 705, 706, 707, 708, 709, 710, 711, 712, 101):
        assert str(reason) in errors
        assert Reason(reason)


async def test_every_request_in_the_document_is_answered_with_a_result(market: Any, raw: Any) -> None:
    participant, admin = await raw(market.venue.url), await raw(market.venue.url)
    await participant.log_on("seller", market.seller.key)
    await admin.log_on("admin", market.venue.admin_key)
    for request in SENT:
        client = admin if request["method"].startswith("admin.") else participant
        answer = await client.send(json.dumps(request))
        assert "result" in answer, (request, answer)
        for example in RECEIVED:
            if example.get("id") == request["id"] and "result" in example:
                assert example["result"].keys() == answer["result"].keys(), request
