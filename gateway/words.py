"""The words that stand on the wire for the engine's numbers, both ways."""

from __future__ import annotations

from typing import Final

from ext.records import ExecType, Liquidity, OrderStatus, Phase, SettlementMode, Side, TimeInForce

SIDES: Final = {"buy": Side.BUY, "sell": Side.SELL}
TIMES_IN_FORCE: Final = {"gtc": TimeInForce.GTC, "ioc": TimeInForce.IOC}
PHASES: Final = {phase.name.lower(): phase for phase in Phase}

SIDE_WORDS: Final = {int(side): word for word, side in SIDES.items()}
TIME_IN_FORCE_WORDS: Final = {int(time): word for word, time in TIMES_IN_FORCE.items()}
PHASE_WORDS: Final = {int(phase): word for word, phase in PHASES.items()}
STATUS_WORDS: Final = {int(status): status.name.lower() for status in OrderStatus}
EXEC_TYPE_WORDS: Final = {int(exec_type): exec_type.name.lower() for exec_type in ExecType}
LIQUIDITY_WORDS: Final = {int(liquidity): liquidity.name.lower() for liquidity in Liquidity}
MODE_WORDS: Final = {int(mode): mode.name.lower() for mode in SettlementMode}
