"""Builds the compiled modules in place: `pip install --no-deps -e .`.

Optional: without a C compiler pip says so and succeeds, and Python makes the rows.
"""

from Cython.Build import cythonize
from setuptools import Extension, setup

MODULES = [
    Extension("models._whole_events", ["models/_whole_events.pyx"], optional=True),
    Extension("source.records._scan", ["source/records/_scan.pyx"], optional=True),
]

setup(ext_modules=cythonize(MODULES, quiet=True))
