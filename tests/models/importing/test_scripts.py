"""TorchScript: known networks are rebuilt, unknown ones run as they are, and what does more than compute is refused."""

import warnings
import zipfile

import pytest
import torch
from torch import Tensor, nn

from geoseg.errors import ModelError
from geoseg.models import load_model
from geoseg.models.containers.torchscript import script
from geoseg.models.importing import detect, import_model
from tests.models.importing.foreign import Plain, answer, facts, noise, said

pytestmark = pytest.mark.filterwarnings("ignore:.*torch.jit.*")


def _script(network, path, traced=False):
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        made = torch.jit.trace(network, torch.zeros(1, 3, 128, 128)) if traced else torch.jit.script(network)
        made.save(str(path))
    return path


class Wrapped(nn.Module):
    """A network in a trainer's wrapper, which takes "out" from its answer; `gain` changes that answer.

    A loss with a tensor of its own stands beside it, as trainers leave it there.
    """

    def __init__(self, network: nn.Module, gain: float) -> None:
        super().__init__()
        self.model = network
        self.focal_tversky_loss = nn.CrossEntropyLoss(weight=torch.ones(2))
        self.gain = gain

    def forward(self, x: Tensor) -> Tensor:
        return self.model(x)["out"] * self.gain


@pytest.mark.parametrize("traced", [True, False])  # both kinds are published
@pytest.mark.parametrize(("gain", "backend"), [(1.0, "torch"), (2.0, "torchscript")])
def test_lraspp_is_rebuilt_where_it_answers_alike(tmp_path, gain, backend, traced):
    from torchvision.models.segmentation import lraspp_mobilenet_v3_large

    torch.manual_seed(0)
    network = Wrapped(lraspp_mobilenet_v3_large(weights=None, weights_backbone=None, num_classes=2), gain).eval()
    path = _script(network, tmp_path / "net.pt", traced)
    assert detect(path) == "a TorchScript file"
    card = import_model(path, tmp_path / "model", facts())
    assert card.architecture == ("lraspp" if backend == "torch" else "container")
    assert load_model(tmp_path / "model").backend == backend
    difference = (answer(tmp_path / "model", noise()) - said(network, noise())).abs().max()
    assert float(difference) <= 1e-6


@pytest.mark.parametrize(("last", "activation"), [(nn.Identity(), "softmax"), (nn.Softmax(1), "none")])
def test_an_unknown_network_runs_as_it_is(tmp_path, last, activation):
    network = Plain(last=last).eval()
    card = import_model(_script(network, tmp_path / "net.pt"), tmp_path / "model.pt", facts())
    assert (card.architecture, card.activation) == ("container", activation)
    assert torch.equal(answer(tmp_path / "model.pt", noise()), said(network, noise()))


def test_facts_are_asked_for_and_compared(tmp_path):
    path = _script(Plain(channels=3).eval(), tmp_path / "net.pt")
    with pytest.raises(ModelError, match=r"found a network of 3 channel\(s\) of scores; expected 2"):
        import_model(path, tmp_path / "model.pt", facts(classes=("background", "building"), activation="softmax"))
    with pytest.raises(ModelError, match=r"3 band\(s\) and 3 channel\(s\).*add --license SPDX$"):
        import_model(path, tmp_path / "model.pt", facts(license=None))
    sigmoid = _script(Plain(channels=1, last=nn.Sigmoid()).eval(), tmp_path / "sigmoid.pt")
    with pytest.raises(ModelError, match="one channel of scores from 0 to 1"):
        import_model(sigmoid, tmp_path / "model.pt", facts())
    assert sorted(p.name for p in tmp_path.iterdir()) == ["net.pt", "sigmoid.pt"]


class Sized(nn.Module):
    """A network that takes chips of 64 pixels and no others, and ends in a sigmoid."""

    def __init__(self) -> None:
        super().__init__()
        self.network = Plain(last=nn.Sigmoid())

    def forward(self, x: Tensor) -> Tensor:
        return self.network(x) + torch.zeros(x.shape[0], 2, 64, 64)


@pytest.mark.parametrize("make", [lambda: Plain(last=nn.Sigmoid()), Sized])
def test_scores_of_a_sigmoid_are_not_taken_for_logits(tmp_path, make):
    network = make().eval()
    path = _script(network, tmp_path / "net.pt")
    with pytest.raises(
        ModelError, match=r"2 channels of scores from 0 to 1 that do not sum to one.*--activation \(none"
    ):
        import_model(path, tmp_path / "model.pt", facts())
    assert not (tmp_path / "model.pt").exists()
    assert import_model(path, tmp_path / "model.pt", facts(activation="none")).activation == "none"
    assert torch.equal(answer(tmp_path / "model.pt", noise()), said(network, noise()))


class Writing(nn.Module):
    """A network that writes a file while it computes."""

    def __init__(self, place: str) -> None:
        super().__init__()
        self.place = place

    def forward(self, x: Tensor) -> Tensor:
        torch.save(x, self.place)
        return x


class Reading(nn.Module):
    """A network that reads a file while it computes."""

    def forward(self, x: Tensor) -> Tensor:
        return x + torch.from_file("/etc/hostname", False, 1)


class Restored(nn.Module):
    """A network with code that runs while it is loaded."""

    def __init__(self, place: str) -> None:
        super().__init__()
        self.place = place

    @torch.jit.export
    def __getstate__(self) -> tuple[str, bool]:
        return self.place, self.training

    @torch.jit.export
    def __setstate__(self, state: tuple[str, bool]) -> None:
        self.place = state[0]
        self.training = state[1]
        torch.save(torch.zeros(1), self.place)

    def forward(self, x: Tensor) -> Tensor:
        return x


@pytest.mark.parametrize(("make", "message"), [(Writing, "save"), (Restored, "__setstate__"), (Reading, "from_file")])
def test_scripts_that_do_more_than_compute_are_refused(tmp_path, make, message):
    place = tmp_path / "written"
    network = make() if make is Reading else make(str(place))
    path = _script(network, tmp_path / "net.pt")
    with pytest.raises(ModelError, match=f"found .*{message}.*this (file|one) is not"):
        import_model(path, tmp_path / "model.pt", facts())
    assert [p.name for p in tmp_path.iterdir()] == ["net.pt"]


@pytest.mark.parametrize("make", [Writing, Restored])
def test_other_spellings_of_the_same_call_are_refused(tmp_path, make):
    path = _script(make(str(tmp_path / "written")), tmp_path / "net.pt")
    with zipfile.ZipFile(path) as old, zipfile.ZipFile(tmp_path / "spelled.pt", "w") as new:
        for entry in old.infolist():
            new.writestr(entry.filename, old.read(entry).replace(b"torch.save(", b"torch . save ("))
    with pytest.raises(ModelError, match=r"found .*this file is not used"):
        import_model(tmp_path / "spelled.pt", tmp_path / "model.pt", facts())
    with pytest.raises(ModelError, match=r"found .*this file is not used"):
        script(tmp_path / "spelled.pt")  # as every TorchScript model is loaded, imported or not
    assert not (tmp_path / "written").exists()


def test_damaged_archives_are_told(tmp_path):
    path = _script(Plain().eval(), tmp_path / "net.pt")
    with zipfile.ZipFile(path) as old, zipfile.ZipFile(tmp_path / "twice.pt", "w") as new:
        for entry in old.infolist():
            new.writestr(entry.filename, old.read(entry))
        with pytest.warns(UserWarning, match="Duplicate"):
            new.writestr(old.namelist()[0], b"again")
    with pytest.raises(ModelError, match="entries of the same name"):
        import_model(tmp_path / "twice.pt", tmp_path / "model.pt", facts())
    (tmp_path / "half.pt").write_bytes(path.read_bytes()[:-200])
    with pytest.raises(ModelError, match=r"half.pt: cannot be read"):
        import_model(tmp_path / "half.pt", tmp_path / "model.pt", facts())
