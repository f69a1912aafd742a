"""Records that careless and hostile producers send, as data, and how each has to end.

corpus.py the records, each with its expected end; add yours there batches.py what no client sends: batches and header
names that are written by hand test_guard.py each record through the guard alone, which takes milliseconds test_lanes.py
all of them through the stages on a real broker, between valid records
"""
