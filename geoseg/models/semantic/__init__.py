"""Networks that give every pixel a class. Importing this package registers them."""

from geoseg.models.semantic import assembled as assembled
from geoseg.models.semantic import attention as attention
from geoseg.models.semantic import configured as configured
from geoseg.models.semantic import fcn as fcn
from geoseg.models.semantic import hrnet as hrnet
from geoseg.models.semantic import lraspp as lraspp
from geoseg.models.semantic import multiscale as multiscale
from geoseg.models.semantic import pixel as pixel
