"""One module for each way to break the pipeline. `tests/chaos/catalog.py` lists them."""
