"""Small areas merged into their neighbours."""
