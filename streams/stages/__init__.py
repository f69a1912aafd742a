"""What each stage does with a record: read, decide, write. `streams/catalog.py` lists them."""
