"""Models in files that carry their own graph: ONNX, TorchScript, torch.export's .pt2, OpenVINO IR.

Each holds the card as JSON text beside the graph. The kind is told by the content, never by the ending. Only cards are
read without torch and without the runtime that a graph needs.
"""

from geoseg.models.containers.files import CONTAINERS as CONTAINERS
from geoseg.models.containers.files import card_text as card_text
from geoseg.models.containers.files import checksum as checksum
from geoseg.models.containers.files import container_of as container_of
from geoseg.models.containers.files import copy_container as copy_container
from geoseg.models.containers.files import load_module as load_module
from geoseg.models.containers.files import parts as parts
from geoseg.models.containers.files import read_card as read_card
from geoseg.models.containers.files import write_card as write_card

__all__ = [
    "CONTAINERS",
    "card_text",
    "checksum",
    "container_of",
    "copy_container",
    "load_module",
    "parts",
    "read_card",
    "write_card",
]
