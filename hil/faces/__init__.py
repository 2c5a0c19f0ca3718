"""Faces: how programs that were not written for this bench reach its buses."""
