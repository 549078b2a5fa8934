"""Metadata of the distribution `keras-resnet-toolkit` (import names: keras_resnet and export)."""

import ast
import re
from pathlib import Path

from setuptools import find_packages, setup
from setuptools.command.build_py import build_py

ROOT = Path(__file__).resolve().parent
# Where the sources are, like https://github.com/OWNER/NAME. The links of README.md are made absolute with it, and the
# index gets links to it. While it is empty, the page of the index shows words without links, and no pictures.
REPOSITORY = ""


def version() -> str:
    """`__version__` of keras_resnet/__init__.py, the only place of it, read without importing TensorFlow."""
    tree = ast.parse((ROOT / "keras_resnet" / "__init__.py").read_text(encoding="utf-8"))
    (found,) = (
        ast.literal_eval(each.value)
        for each in tree.body
        if isinstance(each, ast.Assign) and ast.unparse(each.targets[0]) == "__version__"
    )
    return found


VERSION = version()


def links() -> dict[str, str]:
    """Links beside the page of the package index; none while nobody knows where the sources are."""
    if not REPOSITORY:
        return {}
    return {
        "Source": REPOSITORY,
        "Documentation": f"{REPOSITORY}/blob/v{VERSION}/docs/index.md",
        "Changelog": f"{REPOSITORY}/blob/v{VERSION}/CHANGELOG.md",
        "Issues": f"{REPOSITORY}/issues",
    }


def description() -> str:
    """README.md as the page of the package index, where no file lies beside it."""
    text = (ROOT / "README.md").read_text(encoding="utf-8")
    if not REPOSITORY:
        text = re.sub(r"^!\[[^]]*\]\((?!https?:)[^)]*\)\n\n", "", text, flags=re.MULTILINE)
        return re.sub(r"(?<!!)\[([^]]*)\]\((?!https?:|#)[^)]*\)", r"\1", text)
    text = re.sub(r"(!\[[^]]*\]\()(?!https?:)", rf"\1{REPOSITORY}/raw/v{VERSION}/", text)
    return re.sub(r"((?<!!)\[[^]]*\]\()(?!https?:|#)", rf"\1{REPOSITORY}/blob/v{VERSION}/", text)


class BuildWithExamples(build_py):
    """Puts the page and the app of `examples/` beside `export.targets`, which makes bundles of them."""

    def run(self) -> None:
        """Copies what git tracks there: no build outputs, no `node_modules`."""
        super().run()
        if self.editable_mode:
            return  # a clone has examples/
        for name in ("web", "android"):
            for source in sorted((ROOT / "examples" / name).rglob("*")):
                inside = source.relative_to(ROOT / "examples")
                generated = {"node_modules", "assets", "build", ".gradle"} & set(inside.parts)
                if source.is_file() and not generated:
                    target = Path(self.build_lib, "export", "targets", "files", inside)
                    self.mkpath(str(target.parent))
                    self.copy_file(str(source), str(target))


# TensorFlow 2.21 has wheels for Python 3.10 to 3.13, and none for 3.14: the bound says so in one line, where pip would
# look for a TensorFlow and say that there is none.
PYTHONS = ">=3.11,<3.14"
# Bounds: a minor release of TensorFlow changes the converter, so it is pinned to 2.21; the others follow
# semantic versioning closely enough for an upper bound on the major version (on the minor one below 1.0).
CORE = [
    "tensorflow>=2.21,<2.22",
    "keras>=3.15,<4",
    "numpy>=2.0,<3",
    "safetensors>=0.4.5,<1",
    "h5py>=3.11,<4",  # .h5 files of keras.applications
    "scikit-learn>=1.5,<2",  # the embedded digits, stratified splits, projections
    "scipy>=1.13,<2",  # blur, and the search for a temperature
    "pillow>=10.3,<13",
    "matplotlib>=3.9,<4",  # curves.png
    "lazy_loader>=0.4,<1",  # public names on first use, which editors see all the same
    "rich>=13.7,<16",  # tables in the terminal; Keras needs it as well
    "jinja2>=3.1,<4",  # reports
    "hotcoco>=1.2,<2",  # COCO's figures of detections; MIT, NumPy alone
    "imagehash>=4.3,<5",  # pictures that are there twice
    "pyyaml>=6,<7",  # --config
    "defusedxml>=0.7.1,<1",  # boxes of Pascal VOC, which are strangers' XML
    "shtab>=1.7,<2",  # completion for shells
]
EXPORT = [
    "tf2onnx>=1.17,<1.18",
    "onnx>=1.17,<2",
    "onnxruntime>=1.20,<2",
    "ai-edge-litert>=2.1,<3",
    "flatbuffers>=24.3,<26",  # TFLite metadata
    "litert-quantizer>=0.11,<0.12",
    "tensorflow-model-optimization>=0.8.1,<0.9",
    "setuptools>=70",  # tensorflow-model-optimization imports distutils and does not say so
]
HEIC = ["pi-heif>=1,<2"]  # photographs of iPhones; BSD, its wheel has LGPL libraries (pillow-heif's has GPL ones)
HUB = ["huggingface_hub>=0.30,<3"]  # weights="hf://timm/..."
PARQUET = ["pyarrow>=16,<27"]  # predict -o answers.parquet
VIDEO = ["opencv-python-headless>=4.10,<6"]  # predict clip.mp4, predict --camera 0; Apache-2.0, FFmpeg's part LGPL
WANDB = ["wandb>=0.19,<1"]  # train --logger wandb
MLFLOW = ["mlflow-skinny>=3,<4", "sqlalchemy>=2,<3", "alembic>=1.13,<2"]  # train --logger mlflow
RAY = ["ray[data]>=2.50,<2.64"]  # predict --ray, prepare --ray
LOGS = ["tensorboard>=2.19,<3"]  # TensorFlow 2.21 writes its logs only where this is installed
DATASETS = ["tensorflow-datasets>=4.9.7,<5"]  # dataset=tfds:NAME
JAX = ["jax>=0.7,<1", "grain>=0.2.18,<0.3"]  # KERAS_BACKEND=jax; files without TensorFlow
TEST = [
    *JAX,
    *VIDEO,
    "pytest>=8.2,<10",
    "pytest-xdist>=3.7,<4",
    "pytest-cov>=6.1,<8",
    "hypothesis>=6.120,<7",
    "filelock>=3.16,<5",
    "pycocotools>=2.0.10,<3",  # what hotcoco's figures are compared with
    "build>=1.2,<2",  # the wheel that is tested
    "ruff>=0.12,<0.18",
    "mypy>=1.18,<3",
    "import-linter>=2.17,<3",  # layers of the packages
]
# BSD and MIT; the GPL that docutils names is that of its Emacs mode, which its wheel leaves out.
DOCS = ["sphinx>=9,<10", "myst-parser>=5,<6", "furo>=2025.9.25,<2027"]  # make docs
GPU = ["tensorflow[and-cuda]>=2.21,<2.22"]

setup(
    name="keras-resnet-toolkit",
    version=VERSION,
    description="Residual networks in Keras, from the paper to the phone: build, train, quantize, export, verify.",
    long_description=description(),
    long_description_content_type="text/markdown",
    author="the authors of keras_resnet",
    license_expression="Apache-2.0",
    license_files=["LICENSE"],
    keywords="resnet, keras, tensorflow, image classification, tflite, litert, onnx, quantization, microcontrollers",
    project_urls=links(),
    python_requires=PYTHONS,
    packages=find_packages(include=["keras_resnet", "keras_resnet.*", "export", "export.*"]),
    package_data={
        "": ["*.pyi", "py.typed"],
        "keras_resnet": ["templates/*.html"],
        "keras_resnet.weights": ["files/*.safetensors"],
        "export": ["templates/*.html"],
        "export.targets": ["steps/*.md", "tflm_files/*"],
    },
    cmdclass={"build_py": BuildWithExamples},
    install_requires=CORE,
    extras_require={
        "export": EXPORT,
        "heic": HEIC,
        "hub": HUB,
        "tensorboard": LOGS,
        "datasets": DATASETS,
        "test": TEST,
        "docs": DOCS,
        "gpu": GPU,
        "jax": JAX,
        "parquet": PARQUET,
        "video": VIDEO,
        "wandb": WANDB,
        "mlflow": MLFLOW,
        "ray": RAY,
        "all": EXPORT + HEIC + HUB + LOGS + PARQUET + VIDEO + DATASETS + TEST,
    },
    entry_points={"console_scripts": ["keras-resnet = export.program:main"]},
    classifiers=[
        "Development Status :: 3 - Alpha",
        "Environment :: Console",
        "Intended Audience :: Developers",
        "Intended Audience :: Education",
        "Intended Audience :: Science/Research",
        "Operating System :: POSIX :: Linux",
        "Programming Language :: Python :: 3",
        "Programming Language :: Python :: 3 :: Only",
        "Programming Language :: Python :: 3.11",
        "Programming Language :: Python :: 3.12",
        "Programming Language :: Python :: 3.13",
        "Topic :: Scientific/Engineering :: Artificial Intelligence",
        "Topic :: Scientific/Engineering :: Image Recognition",
        "Typing :: Typed",
    ],
)
