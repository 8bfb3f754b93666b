"""Floor 0: the words that every room shares. Only the standard library and attrs may be imported here."""
