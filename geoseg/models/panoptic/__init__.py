"""Networks that find objects and name the ground around them. Importing this package registers them."""

from geoseg.models.panoptic import mask_classification as mask_classification
from geoseg.models.panoptic import panoptic_fpn as panoptic_fpn
from geoseg.models.panoptic.merging import Merging as Merging
from geoseg.models.panoptic.merging import merge_panoptic as merge_panoptic
