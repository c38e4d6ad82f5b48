"""What the figures of several pages share."""
