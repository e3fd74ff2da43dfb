"""What the NPU does not do, as ONNX nodes. Imported only for models that need it, as ``onnx`` takes its time."""
