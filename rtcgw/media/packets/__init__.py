"""Packets: what is read, counted, converted and sent on for each of them."""
