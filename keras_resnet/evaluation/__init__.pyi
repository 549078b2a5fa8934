"""Public names, each with its home; `__init__.py` imports them on first use."""

from .assessment import Assessment as Assessment
from .assessment import Member as Member
from .assessment import assess as assess
from .prediction import Answer as Answer
from .prediction import Predictions as Predictions
from .prediction import predict as predict
from .scores import Scores as Scores
from .scores import check_fit as check_fit
from .scores import combine as combine
from .scores import evaluate as evaluate
from .scores import image_shape as image_shape
from .scores import outputs as outputs
from .scores import score as score
from .views import Views as Views
