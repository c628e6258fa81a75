"""Label systems, one file each: a generator function over the moves of `stepcredit.label.work.Work`."""
