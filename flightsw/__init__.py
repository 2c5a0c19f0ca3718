"""What flies: the flight software of the payload computer. It imports nothing of the bench."""
