"""The page on where a network looks."""
