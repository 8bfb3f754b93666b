"""Floor 1: what must be findable, and later what must outlive a process: the mapping table."""
