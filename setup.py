"""Builds the compiled module in place: `pip install --no-deps -e .`.

Optional: without a C compiler pip says so and succeeds, and Python makes the rows.
"""

from Cython.Build import cythonize
from setuptools import Extension, setup

MODULE = Extension("models._whole_events", ["models/_whole_events.pyx"], optional=True)

setup(ext_modules=cythonize([MODULE], quiet=True))
