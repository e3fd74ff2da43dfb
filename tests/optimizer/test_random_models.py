"""Whatever the model, the optimized one computes the same and is tidy."""

from __future__ import annotations

from hypothesis import given, settings
from onnx import ModelProto
from tests.optimizer.equivalence import assert_equivalent
from tests.optimizer.random_models import models


@given(model=models())
@settings(max_examples=150)
def test_same_results(model: ModelProto) -> None:
    assert_equivalent(model)
