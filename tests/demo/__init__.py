"""`make demo`: the README's lessons, played in real terminals."""
