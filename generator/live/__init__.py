"""A network as steps that a page runs, or the reason why it cannot."""
