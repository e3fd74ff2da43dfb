"""furiosa-litmus: does a model work here? It is optimized, quantized, compiled and run once, and the steps are told.

>>> from furiosa.litmus import validate
>>> validate(Path("model.onnx"), None, False, False, "warboy-2pe")   # doctest: +SKIP
"""

from furiosa.isa.version import version_info
from furiosa.litmus.calibration import calibrate_with_random_data
from furiosa.litmus.command import main
from furiosa.litmus.steps import validate

__all__ = ["calibrate_with_random_data", "main", "validate"]

__version__ = version_info()
