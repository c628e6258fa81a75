"""Members: one file a diagnosis method."""
