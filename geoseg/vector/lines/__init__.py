"""Centre lines of roads and rivers."""
