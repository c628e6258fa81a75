"""Search policies, one file each: a generator function over the moves of `stepcredit.search.engine.Search`."""
