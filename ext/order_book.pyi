from typing import Self, final

from typing_extensions import Buffer, disjoint_base

def read_ticks() -> int:
    """Return the processor's clock."""

def tick_overhead() -> int:
    """Return the median of what reading the processor's clock twice takes, in ticks."""

@disjoint_base
class BookSet:
    """Order books that one apply serves: continuous trading and call auction, price-time or pro-rata.

    All order types, times in force and attributes of ``ext.book_records``. A trade's price is the resting
    order's. Replace keeps an order's priority only where the price stays and the leaves do not grow; else it
    goes to the back of the queue at its new price and, in phase CONTINUOUS, may match at once. Its quantity
    is FIX
    OrderQty (38), which includes what has filled; at or under that the order ends (CANCELLED,
    ``QUANTITY_NOT_ABOVE_FILLED``), as FIX says of a replace down to CumQty.

    Order ids are 1 to 2**63 - 1 and unique among the orders of all books, prices 1 to 2**62, quantities
    positive; the leaves of one side of a book never exceed 2**63 - 1. Changing to CONTINUOUS or POST_ONLY
    while bids and offers cross is refused: uncross first.

    Owned by one thread at a time: a call while another is under way raises RuntimeError.
    After a MemoryError the books are lost: every call but ``restore`` raises RuntimeError.
    """

    def __new__(cls, books: int = 1) -> Self:
        """Make closed, empty books, at most 2**20.

        Raises:
            ValueError: That is no number of books.
        """

    def __len__(self) -> int:
        """Return the number of books."""

    @property
    def phase(self) -> int:
        """The market phase of the first book (``ext.book_records.Phase``)."""

    def phase_of(self, book: int) -> int:
        """Return the market phase of a book. ValueError when there is no such book, here and below."""

    def apply(self, commands: Buffer) -> bytes:
        """Apply commands in order and return their events.

        Args:
            commands: Any number of records of 64 bytes (``COMMAND_DTYPE`` and tails).

        Returns:
            The events (``EVENT_DTYPE``), at least one for each command, in order; the last
            of each command is flagged. A command that is malformed or not possible gives
            REJECTED with its reason and changes nothing. How commands are cut into batches
            makes no difference, as long as a command and its tail stay together.

        Raises:
            ValueError: The length is no multiple of 64; nothing was applied.
        """

    def apply_timed(self, commands: Buffer) -> bytes:
        """Apply commands of one record each; return the ticks that each took, a uint32 each, for benchmarks.

        Their events are written one over the other and not returned.

        Raises:
            ValueError: These are no whole, aligned commands; nothing was applied.
        """

    def levels(self, side: int, book: int = 0) -> list[tuple[int, int, int]]:
        """Return (price_ticks, visible lots, orders) of each price of a side, best first."""

    def leaves(self, order_id: int) -> int:
        """Return the lots of an order that still can fill; 0 when it is in none of the books. O(1)."""

    def next_deadline_ns(self, book: int = 0) -> int:
        """Return when an order or a call of a book is due, 0 when nothing is. O(1)."""

    def orders(self, book: int = 0) -> bytes:
        """Return the orders (``ORDER_DTYPE``): resting buys, sells, stop buys, sells, each by priority."""

    def snapshot(self) -> bytes:
        """Return the whole state: of each book ``SNAPSHOT_STRUCT``, then its orders; equal if states are."""

    def restore(self, snapshot: Buffer) -> None:
        """Take the state of a snapshot of as many books.

        Raises:
            ValueError: These are not the bytes of a snapshot; the books are unchanged.
        """

    def digest(self) -> bytes:
        """Return SHA-256 of :meth:`snapshot`, 32 bytes."""

    def memory(self) -> int:
        """Return the bytes held for orders, their index, levels and books, what is free of them included."""

    def __sizeof__(self) -> int:
        """Return the bytes held, memory of the books included."""

    def _check(self) -> None:
        """Walk every invariant; AssertionError names the first that does not hold. O(memory held)."""

@final
class OrderBook(BookSet):
    """One order book of one instrument: a set of one."""

    def __new__(cls) -> Self: ...
