"""The quantizer: from a float model and calibration data to a QDQ model in int8.

>>> from furiosa.quantizer import CalibrationMethod, Calibrator, quantize
>>> calibrator = Calibrator(model, CalibrationMethod.MIN_MAX_ASYM)   # doctest: +SKIP
>>> calibrator.collect_data(samples)                                 # doctest: +SKIP
>>> quantized = quantize(model, calibrator.compute_range())          # doctest: +SKIP
"""

from furiosa.isa.version import native_version, version_info
from furiosa.quantizer.calibration import CalibrationMethod, Calibrator
from furiosa.quantizer.editor import ModelEditor, TensorType
from furiosa.quantizer.names import get_output_names, get_pure_input_names
from furiosa.quantizer.quantize import quantize

__all__ = [
    "CalibrationMethod", "Calibrator", "ModelEditor", "TensorType", "get_output_names", "get_pure_input_names",
    "quantize",
]  # fmt: skip

__version__ = version_info()
__full_version__ = f"Furiosa SDK Quantizer {__version__} (furiosa_quantizer_impl {native_version()})"
