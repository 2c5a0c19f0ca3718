"""Flight software on another machine: a bench that listens, and the link between the two."""
