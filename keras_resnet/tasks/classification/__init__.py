"""Classification: everything that knows what a class is."""

from keras_resnet.lazy import attach as _attach

_HOMES = {
    "Facts": "settings",
    "LIMITS": "limits",
    "Settings": "settings",
    "agreement": "scores",
    "attach": "head",
    "decode": "predictions",
    "draw": "predictions",
    "called": "explaining",
    "check_weights": "ensembles",
    "encode": "targets",
    "evidence": "explaining",
    "facts": "settings",
    "gives_logits": "summaries",
    "merge": "ensembles",
    "objectives": "targets",
    "outputs": "settings",
    "question_name": "explaining",
    "questions": "explaining",
    "questions_named": "explaining",
    "scalar": "head",
    "scorer": "scores",
    "sections": "pages",
    "summary": "summaries",
}
__all__ = sorted(_HOMES)
__getattr__, __dir__ = _attach(__name__, _HOMES)
