"""Real boards on serial lines: their protocol, sessions, and what is wrong with a host."""
