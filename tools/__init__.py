"""What the Makefile runs: environments, tests, and the files written from the code."""
