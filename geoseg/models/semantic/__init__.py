"""Networks that give every pixel a class. Importing this package registers them."""

from geoseg.models.semantic import assembled as assembled
from geoseg.models.semantic import pixel as pixel
