"""A bench and a payload as services of systemd."""
