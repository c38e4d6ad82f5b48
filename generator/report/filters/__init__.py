"""The pages on what a network looks for."""
