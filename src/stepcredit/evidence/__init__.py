"""What is known about steps: one file per kind of evidence, each adds a column to a batch."""
