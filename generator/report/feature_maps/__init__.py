"""The page on what happens to a photo inside a network."""
