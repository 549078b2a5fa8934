"""Sphinx's settings. `make docs` builds the site into build/docs; every warning is an error."""

import os
import sys
from pathlib import Path

ROOT = Path(__file__).resolve().parents[1]
sys.path[:0] = [str(ROOT), str(ROOT / "docs")]
os.environ.setdefault("TF_CPP_MIN_LOG_LEVEL", "3")
os.environ.setdefault("CUDA_VISIBLE_DEVICES", "-1")

import keras_resnet  # noqa: E402

project = "keras_resnet"
author = "the authors of keras_resnet"
copyright = "%Y, the authors of keras_resnet. Licence: Apache-2.0"
version = release = keras_resnet.__version__

extensions = ["myst_parser", "sphinx.ext.autodoc", "sphinx.ext.napoleon"]
exclude_patterns = ["_static/*"]
default_role = "code"  # docstrings have single backquotes
nitpicky = True
# Types of other packages in signatures. What is ours must be found.
nitpick_ignore_regex = [("py:.*", r"(?!keras_resnet|export).*")]

myst_enable_extensions = ["fieldlist"]
myst_heading_anchors = 4
myst_links_external_new_tab = False
suppress_warnings = ["myst.header"]  # changelog.md and pages with generated parts begin deeper

autodoc_typehints = "signature"
autodoc_member_order = "bysource"
autodoc_preserve_defaults = True
python_maximum_signature_line_length = 90
napoleon_google_docstring = True
napoleon_numpy_docstring = False
napoleon_use_rtype = False
toc_object_entries = False

html_theme = "furo"
html_title = "keras_resnet"
html_static_path = ["_static"]
html_css_files = ["pages.css"]
html_show_sphinx = False
html_copy_source = False
html_show_search_summary = False  # fetched, which browsers refuse from the disk
html_theme_options = {"navigation_with_keys": True}
