"""Whatever a market does, the core's invariants hold, its streams are dense, and it replays.

The market under test compares the fast and the naive book and walks every invariant after each command; the
model here adds what only the outside knows: all cash and all lots that went in less what came out.
"""

from hypothesis import HealthCheck, settings
from hypothesis import strategies as st
from hypothesis.stateful import (
    RuleBasedStateMachine,
    initialize,
    precondition,
    rule,
    run_state_machine_as_test,
)

from engine.command import (
    cash_allot,
    cash_recall,
    clock,
    eligibility_set,
    session_open,
    settlement_failed,
    settlement_final,
    terms_set,
    tokens_adjust,
)
from engine.money import Terms
from ext.records import Applied, CashEvent, ExecType, ExecutionReport, Phase, Side, TimeInForce

NAMES = ["ann", "bob", "cleo"]
TRANCHES = [1, 2]

names = st.sampled_from(NAMES)
tranches = st.sampled_from(TRANCHES)
prices = st.integers(95, 105)
lots = st.integers(1, 30)
identities = st.integers(1, 200).map(str)
picks = st.integers(0, 8)
phases = st.sampled_from([Phase.CALL, Phase.CONTINUOUS, Phase.CONTINUOUS, Phase.HALTED, Phase.CLOSED])


class MarketMachine(RuleBasedStateMachine):
    """Three investors in two tranches, one with fees, half a minor unit a tick and accrued."""

    def __init__(self, market):
        super().__init__()
        self.market = market
        self.cash_in = 0
        self.lots_in = dict.fromkeys(TRANCHES, 0)
        self.revisions = {}
        self.terms = dict.fromkeys(TRANCHES, 1)

    @initialize()
    def open_market(self):
        self.market.open_tranche(1)
        odd = Terms(1, 5 * 10**8, 9 * 10**8, 3 * 10**8, 20261122)
        self.market.open_tranche(2, Phase.CALL, terms=odd, maker_fee_e6=1_500, taker_fee_e6=2_500)
        for name in NAMES:
            for tranche in TRANCHES:
                self.market.investor(name, cash=5_000, lots=50, tranche=tranche)
                self.cash_in += 5_000
                self.lots_in[tranche] += 50

    @rule(
        name=names,
        tranche=tranches,
        buys=st.booleans(),
        price=prices,
        quantity=lots,
        identity=identities,
        ioc=st.booleans(),
        life=st.sampled_from([2**61, 40]),
    )
    def place(self, name, tranche, buys, price, quantity, identity, ioc, life):
        market = self.market
        order = market.order(
            name,
            Side.BUY if buys else Side.SELL,
            quantity,
            price,
            identity,
            tranche=tranche,
            terms_id=self.terms[tranche],
            time_in_force=TimeInForce.IOC if ioc else TimeInForce.GTC,
            valid_until_ns=market.now_ns + life,
        )
        answer = market.place(order)
        if isinstance(answer, ExecutionReport) and answer.exec_type == ExecType.NEW:
            self.revisions[name, tranche, identity] = 1

    @precondition(lambda self: self.revisions)
    @rule(which=picks, identity=identities, price=prices, quantity=lots)
    def replace(self, which, identity, price, quantity):
        key = name, tranche, original = self._newest(which)
        answer = self.market.replace(
            name,
            original,
            identity,
            revision=self.revisions[key] + 1,
            price_ticks=price,
            quantity_lots=quantity,
            tranche=tranche,
        )
        if isinstance(answer, ExecutionReport) and answer.exec_type == ExecType.REPLACED:
            self.revisions[key] += 1

    @precondition(lambda self: self.revisions)
    @rule(which=picks, identity=identities)
    def cancel(self, which, identity):
        name, tranche, original = self._newest(which)
        self.market.cancel(name, original, identity, tranche=tranche)

    def _newest(self, which):
        """An order placed before, 0 the newest."""
        return list(reversed(self.revisions))[which % len(self.revisions)]

    @rule(tranche=tranches, phase=phases)
    def set_phase(self, tranche, phase):
        self.market.phase(phase, tranche)

    @rule(tranche=tranches, factor_e9=st.integers(8 * 10**8, 10**9))
    def set_terms(self, tranche, factor_e9):
        terms = Terms(self.terms[tranche] + 1, 10**9, factor_e9, 0, 20261222)
        if isinstance(self.market.answer_of(self.market.send(terms_set(tranche, terms))), Applied):
            self.terms[tranche] += 1

    @rule(name=names, amount=st.integers(0, 3_000), back=st.booleans())
    def move_cash(self, name, amount, back):
        account = self.market.accounts[name]
        move = cash_recall if back else cash_allot
        self.market.send(move(account, amount, transfer=3, elsewhere_minor=amount))
        returned = sum(event.amount_minor for event in self.market.of(CashEvent))
        self.cash_in += -returned if back else amount

    @rule(name=names, tranche=tranches, delta=st.integers(-60, 30), of_fill=picks)
    def adjust_tokens(self, name, tranche, delta, of_fill):
        command = tokens_adjust(self.market.accounts[name], tranche, delta, of_fill=of_fill)
        if isinstance(self.market.answer_of(self.market.send(command)), Applied):
            self.lots_in[tranche] += delta

    @rule(tranche=tranches, which=picks, fails=st.booleans())
    def decide_fill(self, tranche, which, fails):
        fills = sorted(self.market.core._state.tranches[tranche].fills)
        number = fills[which % len(fills)] if fills else which
        self.market.send((settlement_failed if fails else settlement_final)(tranche, number))

    @rule(
        name=names,
        tranche=tranches,
        eligible=st.booleans(),
        life=st.sampled_from([0, 30]),
        mainland=st.booleans(),
    )
    def set_eligibility(self, name, tranche, eligible, life, mainland):
        until_ns = self.market.now_ns + life if life else 0
        command = eligibility_set(
            self.market.accounts[name],
            tranche,
            eligible=eligible or not mainland,
            country=156 if mainland and eligible else 344,
            until_ns=until_ns,
        )
        self.market.send(command)

    @rule(name=names)
    def open_session(self, name):
        self.market.send(session_open(self.market.accounts[name], 0))

    @rule(nanoseconds=st.integers(1, 50))
    def let_time_pass(self, nanoseconds):
        self.market.now_ns += nanoseconds
        self.market.send(clock())

    def teardown(self):
        market = self.market
        state = market.core._state
        held = sum(purse.total() for account in state.accounts.values() for purse in account.purses.values())
        assert held + sum(totals.fees_minor for totals in state.currencies.values()) == self.cash_in
        for tranche in state.tranches.values():
            own = sum(holding.total() - holding.owed for holding in tranche.holdings.values())
            assert own == self.lots_in[tranche.instrument.tranche]
        self._check_told_balances()
        market.replay(len(market.commands) // 2)

    def _check_told_balances(self):
        """What participants were last told is what they have."""
        for account in self.market.core._state.accounts.values():
            for purse in account.purses.values():
                told = self.market.balances.get((account.account, 0), (0, 0, 0))
                assert told == (purse.free, purse.earmarked, purse.in_settlement)
        for number, tranche in self.market.core._state.tranches.items():
            for account, holding in tranche.holdings.items():
                told = self.market.balances.get((account, number), (0, 0, 0))
                assert told == (holding.free, holding.earmarked, holding.in_settlement)
                assert self.market.elsewhere.get((account, number), 0) == holding.owed


def test_whatever_a_market_does_nothing_is_lost_and_everything_replays(new_market):
    run_state_machine_as_test(
        lambda: MarketMachine(new_market()),
        settings=settings(
            max_examples=60,
            stateful_step_count=80,
            deadline=None,
            derandomize=True,
            suppress_health_check=list(HealthCheck),
        ),
    )
