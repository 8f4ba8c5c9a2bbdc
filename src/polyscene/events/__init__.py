"""Facts with a time: their kinds, their checks, and the append-only log that keeps them."""
