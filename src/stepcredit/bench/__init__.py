"""Credit against truth, labels against people, search against cost."""
