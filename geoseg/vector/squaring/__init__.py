"""Buildings with straight walls and right angles, adjoining ones together."""
