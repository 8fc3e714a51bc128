"""Bytes of protocol buffers that readers understand differently are no ONNX file."""

import numpy as np
import pytest

from geoseg.errors import ModelError
from geoseg.models import containers
from geoseg.models.containers import onnx_file
from tests.conftest import needed

onnx = needed("onnx")


def varint(value):
    out = bytearray()
    while value > 0x7F:
        out.append(value & 0x7F | 0x80)
        value >>= 7
    return bytes([*out, value])


def text(number, content):
    return varint(number << 3 | 2) + varint(len(content)) + content


def model(path, external):
    """A model that adds a tensor to its input; the tensor's field of external data is given as bytes."""
    tensor = onnx.TensorProto(name="w", data_type=1, dims=[2], data_location=onnx.TensorProto.EXTERNAL)
    inputs, outputs = (onnx.helper.make_tensor_value_info(name, 1, ["b", 2]) for name in "xy")
    graph = onnx.helper.make_graph([onnx.helper.make_node("Add", ["x", "w"], ["y"])], "g", [inputs], [outputs])
    whole = onnx.helper.make_model(graph, opset_imports=[onnx.helper.make_opsetid("", 17)], ir_version=8)
    whole.ClearField("graph")
    content = graph.SerializeToString() + text(5, tensor.SerializeToString() + external)
    path.write_bytes(whole.SerializeToString() + text(7, content))
    return path


@pytest.mark.parametrize(
    "external",
    [
        lambda entry: text(13, entry + varint(1 << 3) + b"\x05"),
        lambda entry: text(13, entry + varint(2 << 3) + b"\x05"),
        lambda entry: text(13, entry + varint(2 << 3 | 5) + b"abcd"),
        lambda entry: varint(1 << 32 | 13 << 3 | 2) + varint(len(entry)) + entry,
        lambda entry: varint(13 << 3) + b"\x05" + text(13, entry),
    ],
)
def test_places_of_weights_cannot_be_hidden(tmp_path, external):
    secret = tmp_path / "secret.bin"
    np.arange(2, dtype=np.float32).tofile(secret)
    folder = tmp_path / "model"
    folder.mkdir()
    entry = text(1, b"location") + text(2, str(secret).encode())
    with pytest.raises(ModelError, match="outside of the model's folder"):
        onnx_file.parts(model(folder / "plain.onnx", text(13, entry)))
    with pytest.raises(ModelError, match="damaged ONNX file"):
        onnx_file.parts(model(folder / "hidden.onnx", external(entry)))


def test_a_graph_of_another_wire_type_is_none(tmp_path):
    path = tmp_path / "x.onnx"
    path.write_bytes(varint(1 << 3) + b"\x08" + varint(7 << 3) + b"\x00")
    assert containers.container_of(path) is None


def test_fields_of_later_versions_are_passed_over(tmp_path):
    entry = text(1, b"key") + text(9, b"more") + text(2, b"value")
    path = tmp_path / "x.onnx"
    path.write_bytes(varint(1 << 3) + b"\x08" + text(14, entry) + text(7, b""))
    assert onnx_file.metadata(path) == {"key": "value"}
