"""Floor 4: looking inside a running gateway."""
