"""The inspector: a page that shows which step of which run broke it, from a server of this machine or as one file."""
