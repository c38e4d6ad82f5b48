"""The page on what a network gets right and wrong."""
