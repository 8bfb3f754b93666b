"""Floor 1: session descriptions and the media backends that carry sound between the two networks."""
