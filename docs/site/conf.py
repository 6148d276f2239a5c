"""Sphinx configuration of the documentation site; `docs/site/build.py` lays out the pages."""

from relrob.system.version import VERSION

project = "relrob"
version = release = VERSION
copyright = "the authors of relrob; Apache-2.0"
extensions = ["myst_parser"]
exclude_patterns = ["docs/site"]
root_doc = "index"
myst_heading_anchors = 6
myst_enable_extensions = ["strikethrough"]
html_theme = "furo"
html_title = "relrob"
html_static_path = ["static"]
html_css_files = ["site.css"]
html_show_sphinx = False
html_copy_source = False
html_show_sourcelink = False
html_use_index = False
html_theme_options = {"navigation_with_keys": False}
# Colours whose contrast suffices for WCAG AA, of a package that furo needs.
pygments_style = "a11y-high-contrast-light"
pygments_dark_style = "a11y-high-contrast-dark"
