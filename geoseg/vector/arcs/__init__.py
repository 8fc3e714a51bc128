"""Outlines as arcs between nodes: simplified and smoothed, the same on both sides."""
