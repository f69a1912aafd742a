"""The files that follow from the specifications: `make generate` writes them, a test holds them to the code."""
