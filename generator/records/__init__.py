"""The frozen records that cross from the torch side to the page side, one file a subject."""
