"""What a gateway counts."""

from typing import Any

import pytest
from prometheus_client import generate_latest

from gateway.errors import CommandRefused


async def test_sessions_answers_and_resumes_are_counted(market: Any) -> None:
    async with market.client(market.seller) as client:
        await client.submit_place(market.seller.account, "ABST-A", "sell", 1, "99")
        with pytest.raises(CommandRefused):
            await client.submit_cancel(market.seller.account, "ABST-A", order_id=999)
        text = generate_latest(market.venue.metrics["g1"].registry).decode()
    assert "abst_gateway_sessions 1.0" in text
    assert 'abst_gateway_answers_total{reason="unknown_order"} 1.0' in text
    assert "abst_gateway_commands_in_flight 0.0" in text
