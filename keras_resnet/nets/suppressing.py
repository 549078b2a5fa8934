"""Suppression as a layer: the last one of a detector's file whose answers are final."""

from __future__ import annotations

from typing import Any

import keras

from keras_resnet.errors import InputError

NMS = ("boxes", "classes", "scores", "count")


@keras.saving.register_keras_serializable("keras_resnet")
class Suppression(keras.layers.Layer):
    """Chooses the answers of an image: of boxes of a class that overlap the one with the highest score stays.

    A box without an area is no answer.

    TensorFlow computes it, by operations that engines have as their own: NON_MAX_SUPPRESSION_V4 of TFLite for a batch
    of one, and NonMaxSuppression of ONNX. It does not learn.

    Args:
        overlap: intersection over union above which the lower of two boxes of a class goes.
        threshold: score above which a box is an answer.
        candidates: largest number of answers of an image before the lower ones go; of a batch of one.
        most: largest number of answers of an image.
        **kwargs: Keras'.

    Input shape:
        Boxes `(N, boxes, 4)`, x1, y1, x2, y2 in 0..1, and scores `(N, boxes, classes)`.

    Output shape:
        A dict: `boxes` `(N, most, 4)`, `classes` and `scores` `(N, most)`, from the highest score and padded with 0,
        and `count` `(N,)`; all float32.
    """

    def __init__(
        self,
        overlap: float = 0.6,
        threshold: float = 0.05,
        candidates: int = 1000,
        most: int = 100,
        **kwargs: Any,
    ):
        """Refuses other backends than TensorFlow, which alone has the operations."""
        super().__init__(**kwargs)
        if keras.backend.backend() != "tensorflow":
            raise InputError(
                f"suppression in a net needs Keras' TensorFlow backend, this is {keras.backend.backend()}: take the "
                "form decoded, or unset KERAS_BACKEND"
            )
        self.overlap, self.threshold, self.candidates, self.most = overlap, threshold, candidates, most

    def call(self, boxes, scores):
        """Answers of every image."""
        return self._of_one(boxes, scores) if boxes.shape[0] == 1 else self._of_many(boxes, scores)

    def _of_one(self, boxes, scores):
        """By one operator for all classes: each has a place of its own, where it meets no other."""
        import tensorflow as tf

        reshape = tf.reshape  # in place of slices, which TFLite takes for arithmetic of shapes
        _, count, classes = scores.shape
        number_of_candidates = min(self.candidates, count * classes)
        best, places = tf.math.top_k(reshape(scores, [-1]), number_of_candidates)  # of equal ones the first is higher
        labels = places % classes
        candidates = tf.gather(reshape(boxes, [count, 4]), places // classes)
        apart = candidates + 2.0 * reshape(tf.cast(labels, tf.float32), [-1, 1])  # a box is within 0..1
        best *= self._with_area(apart)
        # In 8 bits many scores are equal, and every engine's operator takes another one of them first: it gets ranks.
        ranks = tf.linspace(1.0, 1.0 / number_of_candidates, number_of_candidates)
        chosen, number = tf.raw_ops.NonMaxSuppressionV4(
            boxes=apart,
            scores=tf.where(best > self.threshold, ranks, tf.zeros_like(ranks)),
            max_output_size=self.most,
            iou_threshold=self.overlap,
            score_threshold=0.0,
            pad_to_max_output_size=True,
        )
        there = tf.cast(tf.range(self.most) < number, tf.float32)
        return {
            "boxes": reshape(tf.gather(candidates, chosen) * reshape(there, [-1, 1]), [1, self.most, 4]),
            "classes": reshape(tf.cast(tf.gather(labels, chosen), tf.float32) * there, [1, self.most]),
            "scores": reshape(tf.gather(best, chosen) * there, [1, self.most]),
            "count": reshape(tf.cast(number, tf.float32), [1]),
        }

    def _of_many(self, boxes, scores):
        import tensorflow as tf

        scores *= self._with_area(boxes)[..., None]
        boxes, scores, classes, count = tf.image.combined_non_max_suppression(
            boxes[:, :, None],
            scores,
            max_output_size_per_class=self.most,
            max_total_size=self.most,
            iou_threshold=self.overlap,
            score_threshold=self.threshold,
            clip_boxes=False,
        )
        return {"boxes": boxes, "classes": classes, "scores": scores, "count": tf.cast(count, tf.float32)}

    @staticmethod
    def _with_area(boxes):
        """1 for boxes with an area, else 0: TFLite's operator takes one without again and again, and no other then."""
        import tensorflow as tf

        starts, ends = tf.split(boxes, 2, axis=-1)
        return tf.cast(tf.reduce_min(ends - starts, axis=-1) > 0, tf.float32)

    def compute_output_spec(self, boxes, scores):
        """Shapes, which are known before anything is computed."""
        count = boxes.shape[0]
        shapes = ((count, self.most, 4), (count, self.most), (count, self.most), (count,))
        return {name: keras.KerasTensor(shape, "float32") for name, shape in zip(NMS, shapes, strict=True)}

    def get_config(self) -> dict[str, Any]:
        """The arguments."""
        own = {name: getattr(self, name) for name in ("overlap", "threshold", "candidates", "most")}
        return {**super().get_config(), **own}
