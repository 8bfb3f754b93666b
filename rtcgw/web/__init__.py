"""Floor 4: the web server (340) and the pages that it serves."""
