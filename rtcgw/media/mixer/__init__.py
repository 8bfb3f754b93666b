"""The audio mixer: small conferences whose parties each hear the sum of the others."""
