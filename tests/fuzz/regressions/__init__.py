"""Programs that the fuzzer found and shrank, as it printed them: each is a test, `test_what_it_was.py`."""
