from typing import final

from typing_extensions import Buffer

@final
class OrderBook:
    """One order book of one instrument: price-time priority, continuous trading and call auction.

    Limit orders, GTC and IOC. A trade's price is the resting order's. Replace keeps an
    order's priority only where the price stays and the leaves do not grow; else it goes to
    the back of the queue at its new price and, in phase CONTINUOUS, may match at once. Its
    quantity is FIX OrderQty (38), which includes what has filled; at or under that the order
    ends (CANCELLED, ``QUANTITY_NOT_ABOVE_FILLED``), as FIX says of a replace down to CumQty.

    Order ids are 1 to 2**63 - 1 and unique among the resting orders, prices 1 to 2**62, quantities
    positive; the leaves of one side never exceed 2**63 - 1. Changing to CONTINUOUS while
    bids and offers cross is refused: uncross first.

    Owned by one thread at a time: a call while another is under way raises RuntimeError.
    After a MemoryError the book is lost: every call but ``restore`` raises RuntimeError.
    """

    def __init__(self) -> None: ...
    @property
    def phase(self) -> int:
        """The market phase (``ext.book_records.Phase``)."""

    def apply(self, commands: Buffer) -> bytes:
        """Apply commands in order and return their events.

        Args:
            commands: Any number of records of 64 bytes (``COMMAND_DTYPE``).

        Returns:
            The events (``EVENT_DTYPE``), at least one for each command, in order; the last
            of each command is flagged. A command that is malformed or not possible gives
            REJECTED with its reason and changes nothing. How commands are cut into batches
            makes no difference.

        Raises:
            ValueError: The length is no multiple of 64; nothing was applied.
        """

    def levels(self, side: int) -> list[tuple[int, int, int]]:
        """Return (price_ticks, lots, orders) of each price of a side, best first."""

    def leaves(self, order_id: int) -> int:
        """Return the lots of an order that still can fill; 0 when it does not rest here. O(1)."""

    def orders(self) -> bytes:
        """Return the resting orders (``ORDER_DTYPE``), buys then sells, each side by priority."""

    def snapshot(self) -> bytes:
        """Return the whole state (``SNAPSHOT_STRUCT``, then orders); equal for equal states."""

    def restore(self, snapshot: Buffer) -> None:
        """Take the state of a snapshot.

        Raises:
            ValueError: These are not the bytes of a snapshot; the book is unchanged.
        """

    def digest(self) -> bytes:
        """Return SHA-256 of :meth:`snapshot`, 32 bytes."""

    def _check(self) -> None:
        """Walk every invariant; AssertionError names the first that does not hold. O(memory held)."""
