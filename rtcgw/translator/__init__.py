"""Floor 2: the message translator (330): two half-calls and the rule that joins them."""
