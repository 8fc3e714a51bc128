"""How good a map is: what was found against what is there, counts first, ratios second."""
