"""How good a model is: accuracy as the papers measured it, its uncertainty, calibration and robustness."""

from keras_resnet.lazy import attach

_HOMES = {
    "Answer": "prediction",
    "Assessment": "assessment",
    "Member": "assessment",
    "Scores": "scores",
    "Views": "views",
    "assess": "assessment",
    "check_fit": "scores",
    "combine": "scores",
    "evaluate": "scores",
    "image_shape": "scores",
    "outputs": "scores",
    "predict": "prediction",
    "score": "scores",
}
__all__ = sorted(_HOMES)
__getattr__, __dir__ = attach(__name__, _HOMES)
