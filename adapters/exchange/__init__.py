"""A Binance-compatible exchange for practice and tests, on loopback: a pure engine behind a thin server."""
