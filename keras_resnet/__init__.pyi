"""Public names, each with its home; `__init__.py` imports them on first use."""

from .applications import ResNet18 as ResNet18
from .applications import ResNet34 as ResNet34
from .applications import ResNet50 as ResNet50
from .applications import ResNet50V2 as ResNet50V2
from .applications import ResNet101 as ResNet101
from .applications import ResNet101V2 as ResNet101V2
from .applications import ResNet152 as ResNet152
from .applications import ResNet152V2 as ResNet152V2
from .builder import build as build
from .builder import model_info as model_info
from .card import ModelCard as ModelCard
from .data import load_dataset as load_dataset
from .detector import detector as detector
from .errors import GateError as GateError
from .errors import InputError as InputError
from .evaluation import evaluate as evaluate
from .evaluation import predict as predict
from .localizer import localizer as localizer
from .nets.detection import DetectorSpec as DetectorSpec
from .nets.graph import stage_outputs as stage_outputs
from .nets.graph import stage_taps as stage_taps
from .nets.interface import ResNetSpec as ResNetSpec
from .nets.segmentation import SegmenterSpec as SegmenterSpec
from .runtime.opening import open_runner as open_runner
from .saving import load_model as load_model
from .saving import save_model as save_model
from .segmenter import segmenter as segmenter
from .signals.conventions import PREPROCESS as PREPROCESS
from .signals.conventions import Preprocess as Preprocess
from .signals.conventions import preprocess_input as preprocess_input
from .tasks.classification.imagenet import decode_predictions as decode_predictions
from .training import RECIPES as RECIPES
from .training import Recipe as Recipe
from .training import train as train
from .weights import LoadReport as LoadReport
from .weights import WeightSet as WeightSet
from .weights import export_weights as export_weights
from .weights import list_models as list_models
from .weights import list_weights as list_weights
from .weights import load_weights as load_weights
from .weights import save_weights as save_weights
from .weights import weights_card as weights_card

__version__: str
