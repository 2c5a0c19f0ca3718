"""Talking to one part by hand, emulated or real: read, write, dump, watch, self-test."""
