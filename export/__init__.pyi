"""Public names, each with its home; `__init__.py` imports them on first use."""

from .formats.artifacts import all_artifacts as all_artifacts
from .formats.artifacts import artifact as artifact
from .formats.table import FORMATS as FORMATS
from .making.autofloat import auto_float as auto_float
from .making.entry import export as export
from .model.source import Source as Source
from .model.source import load_source as load_source
from .proof.layer_errors import layer_errors as layer_errors
from .proof.report import Report as Report
from .targets.making import make_bundle as make_bundle
from .targets.table import TARGETS as TARGETS
