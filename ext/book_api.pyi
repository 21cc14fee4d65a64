"""Order books for programs in C: function pointers in ``__pyx_capi__``, nothing for Python."""
