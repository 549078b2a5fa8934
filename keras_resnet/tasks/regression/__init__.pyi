"""Public names, each with its home; `__init__.py` imports them on first use."""

from .answers import check_weights as check_weights
from .answers import decode as decode
from .answers import draw as draw
from .answers import merge as merge
from .answers import numbers as numbers
from .explaining import EVIDENCE as EVIDENCE
from .explaining import called as called
from .explaining import evidence as evidence
from .explaining import question_name as question_name
from .explaining import questions as questions
from .explaining import questions_named as questions_named
from .explaining import scalar as scalar
from .head import adopted as adopted
from .head import attach as attach
from .head import encode as encode
from .head import objectives as objectives
from .limits import LIMITS as LIMITS
from .pages import sections as sections
from .scores import agreement as agreement
from .scores import scorer as scorer
from .settings import Facts as Facts
from .settings import Settings as Settings
from .settings import facts as facts
from .settings import outputs as outputs
from .summaries import summary as summary
