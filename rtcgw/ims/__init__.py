"""Floor 3: the IMS module (320): user agent and registration (510), routing function (530)."""
