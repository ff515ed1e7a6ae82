"""`make bench`: how fast the twelve scripts are."""
