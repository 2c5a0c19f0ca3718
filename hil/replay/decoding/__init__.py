"""What the octets of records mean, in the names of part, board file and dictionary."""
