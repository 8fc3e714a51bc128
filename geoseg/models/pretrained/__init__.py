"""Pretrained weights for encoders: from the encoder's own publisher, from torchgeo, or from a file; for any bands."""

from geoseg.models.pretrained.inflation import inflate as inflate
from geoseg.models.pretrained.loading import card_facts as card_facts
from geoseg.models.pretrained.loading import load_encoder as load_encoder
from geoseg.models.pretrained.source import EncoderSource as EncoderSource

__all__ = ["EncoderSource", "card_facts", "inflate", "load_encoder"]
