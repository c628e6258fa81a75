"""`python -m stepcredit` is the `stepcredit` command."""

from stepcredit.app.cli import main

main()
