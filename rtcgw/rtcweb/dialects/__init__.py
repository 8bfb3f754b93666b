"""The dialects that browsers speak: strict wire messages on one side, neutral events on the other."""
