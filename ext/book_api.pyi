"""Order books for programs in C: function pointers in ``__pyx_capi__``, nothing for Python."""

__pyx_capi__: dict[str, object]
"""A capsule for each function of ``order_books.h``, by name."""
