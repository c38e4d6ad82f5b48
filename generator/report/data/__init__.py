"""The page on the data."""
