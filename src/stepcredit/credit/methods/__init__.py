"""One file per published method. The folder is the registry."""
