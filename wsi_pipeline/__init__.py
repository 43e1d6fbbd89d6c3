"""Dermal infiltration by skin metastases, measured on H&E whole-slide images.

Importing the package is cheap: neither torch nor a slide back-end is loaded until a
room that needs it is imported.  The map of the rooms is ``docs/architecture.md``.
"""

__version__ = "0.1.0"
