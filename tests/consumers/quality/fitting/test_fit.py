"""Fitting on made-up features: what is chosen, what is reported, and what has nothing to teach."""

from dataclasses import replace

import numpy as np
import pytest

from consumers.quality.fitting.feature_store import FeatureMatrix
from consumers.quality.fitting.fit import FitSetup, fit_base, fit_head
from consumers.quality.fitting.holdout import hold_out, hold_out_labels
from consumers.quality.fitting.trainer import PATIENCE
from consumers.quality.fitting.whitening_base import FITTED_AXES, MIN_PICTURES, SHIPPED_AXES
from infra.config.errors import BadInput
from infra.encoder.grey_correction import fit_grey_correction
from infra.encoder.heads import Recipe
from infra.encoder.projection import build_projection


def test_a_head_beats_a_base_that_hears_only_what_is_loud(
    gallery: FeatureMatrix, names: list[str], kit: FitSetup
) -> None:
    fitted = fit_head(gallery, names, kit)
    story = fitted.head
    assert story is not None
    assert story.seen.mix["precision@1"] > story.seen.base["precision@1"] + 0.1
    assert story.share > 0
    assert fitted.tensors["head.axes"].shape == (24, 24)
    assert fitted.tensors["head.share"].tolist() == pytest.approx([story.share])


def test_pictures_of_other_kinds_compare_as_with_the_encoder_before(
    gallery: FeatureMatrix, names: list[str], kit: FitSetup
) -> None:
    axes = np.linalg.qr(np.random.default_rng(7).normal(size=(24, 12)))[0].astype(np.float32)
    whitened = dict(kit.shipped) | {"object.axes": axes}
    kind = np.zeros(28, np.float16)
    kind[20] = 8
    fitted = fit_head(FeatureMatrix(gallery.views + kind, gallery.studio), names, replace(kit, shipped=whitened))
    assert "head.axes" in fitted.tensors
    before, after = (build_projection(tensors, "") for tensors in (whitened, fitted.tensors))
    photos = np.zeros(240, bool)
    for sign, is_other in ((-1, True), (1, False)):
        features = (gallery.features + sign * kind.astype(np.float32))[:, :24]
        old, new = (projection.object(features, photos) for projection in (before, after))
        assert np.allclose(new @ new.T, old @ old.T, atol=1e-6) == is_other


def test_a_fitted_encoder_keeps_the_correction_of_grey_pictures(
    gallery: FeatureMatrix, names: list[str], kit: FitSetup
) -> None:
    rows, axes = gallery.features[:, :24], kit.shipped["object.axes"]
    correction = fit_grey_correction(rows + rows[:, ::-1], rows, axes)
    kit = replace(kit, shipped=dict(kit.shipped) | correction)
    for fitted in (fit_head(gallery, names, kit), fit_base(gallery, kit)):
        assert all(np.array_equal(fitted.tensors[name], value) for name, value in correction.items())


def test_labels_that_mean_nothing_get_no_share(gallery: FeatureMatrix, names: list[str], kit: FitSetup) -> None:
    shuffled = [str(name) for name in np.random.default_rng(0).permutation(names)]
    fitted = fit_head(gallery, shuffled, kit)
    assert fitted.head is not None
    assert fitted.head.share == 0
    assert "head.axes" not in fitted.tensors


def test_labels_that_a_head_never_saw_are_reported(gallery: FeatureMatrix, names: list[str], kit: FitSetup) -> None:
    story = fit_head(gallery, names, kit).head
    assert story is not None
    assert story.unseen is not None
    assert (story.unseen_labels, story.unseen.queries) == (2, 40)
    assert set(story.unseen.base) == set(story.unseen.mix) == set(story.seen.head)


def test_with_few_labels_none_is_held_back(gallery: FeatureMatrix, kit: FitSetup) -> None:
    story = fit_head(gallery, ["one" if n % 12 < 6 else "other" for n in range(240)], kit).head
    assert story is not None
    assert story.unseen is None


def test_training_ends_when_the_pictures_held_back_gain_no_more(
    gallery: FeatureMatrix, names: list[str], kit: FitSetup
) -> None:
    story = fit_head(gallery, names, replace(kit, recipe=Recipe(epochs=400, batch=128, rate=0.02))).head
    assert story is not None
    assert len(story.lessons) == story.best_epoch + PATIENCE < 400
    assert story.lessons[story.best_epoch - 1].score == max(lesson.score for lesson in story.lessons)


def test_the_same_seed_fits_the_same(gallery: FeatureMatrix, names: list[str], kit: FitSetup) -> None:
    one, other = (fit_head(gallery, names, kit) for _ in range(2))
    assert one.head == other.head
    assert all((one.tensors[name] == value).all() for name, value in other.tensors.items())


def test_few_pictures_keep_the_axes_and_give_their_own_means(gallery: FeatureMatrix, kit: FitSetup) -> None:
    fitted = fit_base(gallery, kit)
    assert fitted.base == SHIPPED_AXES
    assert fitted.tensors["object.axes"] is kit.shipped["object.axes"]
    photos = gallery.features[~gallery.studio, :24]
    assert np.allclose(fitted.tensors["object.means"][0], photos.mean(0), atol=1e-5)
    assert (fitted.tensors["object.means"][1] == 0).all(), "48 studio pictures are too few to say"


def test_many_pictures_get_axes_of_their_own(gallery: FeatureMatrix, kit: FitSetup) -> None:
    times = -(-MIN_PICTURES // 240)
    many = FeatureMatrix(np.tile(gallery.views, (times, 1, 1)), np.tile(gallery.studio, times))
    fitted = fit_base(many, kit)
    assert fitted.base == FITTED_AXES
    assert fitted.head is None
    assert fitted.tensors["object.axes"].shape == (24, 24)


@pytest.mark.parametrize(
    ("labels", "message"),
    [
        (["a"] * 240, "all 240 pictures that can be read are labelled a"),
        ([str(n) for n in range(240)], "of 240 labels, 0 have 3 pictures or more"),
        (["a"] * 238 + ["b", "c"], "of 3 labels, 1 have 3 pictures or more"),
    ],
)
def test_labels_without_anything_to_teach_are_refused(
    gallery: FeatureMatrix, kit: FitSetup, labels: list[str], message: str
) -> None:
    with pytest.raises(BadInput, match=message):
        fit_head(gallery, labels, kit)


def test_two_pictures_of_each_label_are_always_left_to_train_on() -> None:
    labels = np.repeat(np.arange(4), [1, 2, 3, 40])
    split = hold_out(labels, 0.5, seed=0)
    assert np.bincount(labels[split.train]).tolist() == [1, 2, 2, 20]
    assert np.array_equal(np.sort(np.concatenate([split.train, split.held_out])), np.arange(46))


def test_labels_are_held_back_whole() -> None:
    labels = np.repeat(np.arange(20), 5)
    split = hold_out_labels(labels, seed=0)
    assert split is not None
    assert set(labels[split.train]) & set(labels[split.held_out]) == set()
    assert len(set(labels[split.held_out])) == 3
