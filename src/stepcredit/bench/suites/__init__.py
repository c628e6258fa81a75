"""One file per suite: what `stepcredit bench NAME` measures."""
