"""Mock: the flight software, or a program, alone, answered out of the capture."""
