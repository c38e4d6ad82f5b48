"""The page on how far the heat maps can be trusted."""
