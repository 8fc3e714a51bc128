"""Objects of semantic models that have a class for where objects end."""
