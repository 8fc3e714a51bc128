"""Networks that find objects. Importing this package registers them."""

from geoseg.models.instance import mask2former as mask2former
from geoseg.models.instance import mask_rcnn as mask_rcnn
from geoseg.models.instance.anchors import Anchors as Anchors
from geoseg.models.instance.anchors import fit_anchors as fit_anchors
