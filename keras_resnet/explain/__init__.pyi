"""Public names, each with its home; `__init__.py` imports them on first use."""

from .drawing import overlay as overlay
from .embeddings import pooled_features as pooled_features
from .maps import cam as cam
from .maps import grad_cam as grad_cam
from .maps import grad_cam_plus_plus as grad_cam_plus_plus
from .methods import METHODS as METHODS
from .methods import explain as explain
from .net import Net as Net
from .occlusions import occlusion as occlusion
from .pixels import integrated_gradients as integrated_gradients
from .pixels import smoothgrad as smoothgrad
