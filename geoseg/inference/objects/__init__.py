"""Objects that single tiles see, put together to those of the scene."""
