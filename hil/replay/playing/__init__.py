"""Play: what was recorded, as stimulus of the flight software, of a program, or of the ground."""
