"""What the tests share: the list of lessons, scripts as processes, terminals, accidents."""
