"""Every task whose networks are given pictures."""

from __future__ import annotations

from edge.bundles.picture_classification import PictureClassification
from edge.bundles.picture_detection import PictureDetection
from edge.bundles.picture_embedding import PictureEmbedding
from edge.bundles.picture_keypoints import PictureKeypoints
from edge.bundles.picture_regression import PictureRegression
from edge.bundles.picture_segmentation import PictureSegmentation

PictureManifest = (
    PictureClassification
    | PictureDetection
    | PictureSegmentation
    | PictureKeypoints
    | PictureRegression
    | PictureEmbedding
)
