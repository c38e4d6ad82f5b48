"""What a network gets right, and how far its heat maps can be trusted."""
