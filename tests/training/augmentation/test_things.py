"""Things in other colours and other windows."""

import torch

from tests.training.augmentation.test_windows import changed
from tests.training.windows import houses, make_batch


def test_tint_changes_things_alone():
    batch = make_batch(houses(4))
    after = changed(batch, tint=1.0).images
    moved = (after != batch.images).any(1)
    near = torch.nn.functional.max_pool2d((batch.objects > 0).float()[:, None], 3, 1, 1)[:, 0] > 0
    assert moved.any()
    assert not moved[~near].any()


def test_tint_keeps_the_shading():
    objects = torch.zeros(1, 24, 24)
    objects[0, 2:22, 2:22] = 5
    batch = make_batch(objects)
    batch.images[:] = torch.linspace(0.3, 0.5, 24).expand_as(batch.images)  # one roof, lit from the right
    results = [changed(batch, tint=1.0, seed=seed).images[0, :, 4:20, 4:20] for seed in range(12)]
    recoloured = [r for r in results if not torch.allclose(r, batch.images[0, :, 4:20, 4:20], atol=1e-3)]
    assert len(recoloured) > 3
    for roof in recoloured:
        assert (roof.mean(0).diff(dim=1) > -1e-5).all()
    assert len({tuple((roof.mean((1, 2)) * 20).round().tolist()) for roof in recoloured}) > 2


def test_tint_without_colours_or_things_does_nothing():
    batch = make_batch(houses(2), bands=2)
    assert torch.equal(changed(batch, ("nir", "red"), tint=1.0).images, batch.images)
    empty = make_batch(torch.zeros(2, 16, 16))
    assert torch.equal(changed(empty, tint=1.0).images, empty.images)


def sizes(objects):
    return sorted(torch.unique(objects[objects > 0], return_counts=True)[1].tolist())


def test_whole_things_are_pasted_on_free_ground():
    objects = torch.zeros(2, 40, 40, dtype=torch.int64)
    objects[0, 10:16, 12:20] = 3  # 48 pixels
    objects[0, 0:4, 30:36] = 8  # cut by the edge: is never pasted
    objects[1, 20:24, 20:25] = 3  # 20 pixels
    batch = make_batch(objects)
    batch.classes[0, 10:16, 12:20] = 9
    pasted = 0
    for seed in range(30):
        after = changed(batch, copy_paste=1.0, seed=seed)
        kept = batch.objects > 0
        assert torch.equal(after.objects[kept], batch.objects[kept])  # no thing is covered
        assert torch.equal(after.classes[kept], batch.classes[kept])
        assert sizes(after.objects[1]) in ([20], [20, 48])
        assert sizes(after.objects[0]) in ([24, 48], [20, 24, 48])
        new = (after.objects[1] > 0) & (batch.objects[1] == 0)
        pasted += bool(new.any())
        assert (after.classes[1][new] == 9).all()
        assert torch.equal(after.classes[1] != 0, after.objects[1] > 0)
    assert pasted > 5


def test_pasted_pixels_show_the_thing():
    objects = torch.zeros(2, 40, 40, dtype=torch.int64)
    objects[0, 10:18, 12:22] = 3
    batch = make_batch(objects)
    batch.images[:] = 0.3
    batch.images[0, :, objects[0] > 0] = 0.9
    after = next(a for a in (changed(batch, copy_paste=1.0, seed=s) for s in range(40)) if a.objects[1].any())
    core = after.objects[1] > 0
    assert float(after.images[1][:, core].max()) > 0.7
    far = torch.nn.functional.max_pool2d(core.float()[None], 3, 1, 1)[0] == 0
    assert (after.images[1][:, far] == 0.3).all()


def test_nothing_is_pasted_on_unknown_ground_or_from_another_resolution():
    batch = make_batch(houses(2))
    batch.classes[1], batch.objects[1] = 255, 0
    for seed in range(10):
        after = changed(batch, copy_paste=1.0, seed=seed)
        assert torch.equal(after.objects[1], batch.objects[1])
        assert torch.equal(after.images[1], batch.images[1])
    batch = make_batch(houses(2))
    batch.resolution[1] = 2.0
    for options in ({"copy_paste": 1.0}, {"cutmix": 1.0}):
        assert torch.equal(changed(batch, **options).images, batch.images)


def test_cutmix_takes_all_that_is_in_the_rectangle():
    batch = make_batch(houses(2))
    after = changed(batch, cutmix=1.0, seed=5)
    foreign = (after.images[0] != batch.images[0]).all(0)
    share = float(foreign.float().mean())
    assert 0.03 < share < 0.6
    rows, columns = foreign.any(1).nonzero()[:, 0], foreign.any(0).nonzero()[:, 0]
    assert int(foreign.sum()) == len(rows) * len(columns)
    assert torch.equal(after.images[0][:, foreign], batch.images[1][:, foreign])
    assert torch.equal(after.classes[0][foreign], batch.classes[1][foreign])
    assert torch.equal(after.objects[0][~foreign], batch.objects[0][~foreign])
    inside, outside = after.objects[0][foreign], after.objects[0][~foreign]
    assert not set(inside[inside > 0].tolist()) & set(outside[outside > 0].tolist())


def test_a_single_window_has_no_partner():
    batch = make_batch(houses(1))
    assert torch.equal(changed(batch, copy_paste=1.0, cutmix=1.0).images, batch.images)
