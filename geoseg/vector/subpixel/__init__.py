"""Outlines between pixels, by their scores."""
