"""TFLite files as a graph: read without TensorFlow, operators with the rounding that LiteRT gives them."""

from furiosa.compiler.frontend.tflite.importer import import_tflite

__all__ = ["import_tflite"]
