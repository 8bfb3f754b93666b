"""Floor 4: a small stand-in IMS core and answering phones, for a first call without a network."""
