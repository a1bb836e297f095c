"""Planted bugs: do the tests and the fuzzer see one wrong token in our own source?"""
