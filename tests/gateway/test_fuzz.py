"""Whatever a client sends: it is accepted, or a documented error, and the session lives on."""

import asyncio
import json
from typing import Any

from hypothesis import HealthCheck, Phase, given, settings
from hypothesis import strategies as st

from gateway.session import METHODS

DOCUMENTED = {-32700, -32600, -32601, -32602, -32000, -32001, -32029}
SELLER = {"account": 2, "symbol": "ABST-A"}
ORDER = SELLER | {
    "client_order_id": "f",
    "side": "sell",
    "price": "99",
    "quantity": "5",
    "time_in_force": "gtc",
    "terms": 1,
    "nonce": str((1 << 40) + 1),
    "version": 1,
    "valid_until": "1900000000",
    "cash_limit": "1",
    "fee_limit": "0",
    "standing": True,
    "signature": "0x" + "1b" * 65,
}
VALID: dict[str, dict[str, Any]] = {
    "order.place": ORDER,
    "order.replace": ORDER | {"order_id": "1"},
    "order.cancel": SELLER | {"client_order_id": "g", "order_id": "1"},
    "order.get": SELLER | {"client_order_id": "f"},
    "orders.list": SELLER | {"open": True, "limit": 3, "after_order_id": "0"},
    "fills.list": SELLER | {"after_fill_number": 0},
    "settlement.status": SELLER | {"fill_number": 1},
    "balances.get": {"account": 2},
    "session.resume": {"streams": {"2:ABST-A": 0, "2:@0": 0}},
    "market.subscribe": {"channels": ["book.ABST-A"]},
    "market.unsubscribe": {"channels": ["book.ABST-A"]},
    "book.get": {"symbol": "ABST-A"},
}
WORDS = ["ABST-A", "1", "0", "-1", "99.125", "", "²", "\0", "x" * 40, "0x" + "ab" * 65, "9" * 30, "2:ABST-A"]
SCALARS = st.sampled_from(WORDS) | st.integers(-2, 2**64) | st.booleans() | st.none() | st.floats(0, 9)
VALUES = st.recursive(
    SCALARS,
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.sampled_from(WORDS), inner, max_size=3),
    max_leaves=5,
)
NAMES = sorted({name for params in VALID.values() for name in params})
METHODS_BUT_LOGOUT = sorted(METHODS - {"session.logout"})


def request(method: str, changes: dict[str, Any], dropped: list[str], request_id: Any) -> str:
    """A request that was right before some of its parameters were changed or dropped."""
    params = VALID.get(method, {}) | changes
    kept = {name: value for name, value in params.items() if name not in dropped}
    return json.dumps({"jsonrpc": "2.0", "id": request_id, "method": method, "params": kept})


REQUESTS = st.builds(
    request,
    st.sampled_from(METHODS_BUT_LOGOUT) | st.text(max_size=8),
    st.dictionaries(st.sampled_from(NAMES), VALUES, max_size=2),
    st.lists(st.sampled_from(NAMES), max_size=1),
    st.integers(0, 9) | st.sampled_from(["a", "b"]),
)
FRAMES = REQUESTS | REQUESTS | VALUES.map(json.dumps) | st.text(max_size=60) | st.binary(max_size=60)


async def test_any_frame_is_accepted_or_answered_with_a_documented_error(market: Any, raw: Any) -> None:
    client = await raw(market.venue.url)
    await client.log_on("seller", market.seller.key)
    loop = asyncio.get_running_loop()

    async def one(frames: list[str | bytes]) -> None:
        for frame in frames:
            answer = await client.send(frame)
            assert ("result" in answer) != ("error" in answer)
            if "error" in answer:
                assert answer["error"]["code"] in DOCUMENTED, frame
                assert {"reason", "name", "final"} <= answer["error"]["data"].keys()
                assert "the gateway failed" not in answer["error"]["message"], frame

    @given(frames=st.lists(FRAMES, min_size=1, max_size=10))
    @settings(
        max_examples=120,
        deadline=None,
        phases=[Phase.generate],
        suppress_health_check=list(HealthCheck),
    )
    def every(frames: list[str | bytes]) -> None:
        asyncio.run_coroutine_threadsafe(one(frames), loop).result(60)

    await asyncio.to_thread(every)
    balances = await client.call("balances.get", account=market.seller.account)
    assert balances["result"]["tokens"]["ABST-A"]["free"] == "100000"
