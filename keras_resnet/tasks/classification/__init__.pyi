"""Public names, each with its home; `__init__.py` imports them on first use."""

from .adopting import adopted as adopted
from .ensembles import check_weights as check_weights
from .ensembles import merge as merge
from .explaining import called as called
from .explaining import evidence as evidence
from .explaining import question_name as question_name
from .explaining import questions as questions
from .explaining import questions_named as questions_named
from .head import attach as attach
from .head import scalar as scalar
from .limits import LIMITS as LIMITS
from .pages import sections as sections
from .predictions import decode as decode
from .predictions import draw as draw
from .scores import agreement as agreement
from .scores import chance as chance
from .scores import scorer as scorer
from .settings import Facts as Facts
from .settings import Settings as Settings
from .settings import facts as facts
from .settings import outputs as outputs
from .summaries import gives_logits as gives_logits
from .summaries import summary as summary
from .targets import encode as encode
from .targets import objectives as objectives
