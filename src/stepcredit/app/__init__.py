"""The `stepcredit` command and its pages. No arithmetic lives here."""
