"""Public names, each with its home; `__init__.py` imports them on first use."""

from .answers import Mask as Mask
from .answers import colours as colours
from .answers import decode as decode
from .answers import draw as draw
from .answers import picture as picture
from .head import adopted as adopted
from .head import attach as attach
from .head import encode as encode
from .head import objectives as objectives
from .limits import LIMITS as LIMITS
from .merging import merge as merge
from .merging import mirrored as mirrored
from .pages import sections as sections
from .reports import reporter as reporter
from .scores import agreement as agreement
from .scores import scorer as scorer
from .settings import ONE_SIZE as ONE_SIZE
from .settings import Facts as Facts
from .settings import Settings as Settings
from .settings import backbone as backbone
from .settings import facts as facts
from .settings import outputs as outputs
