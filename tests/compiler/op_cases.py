"""One small quantized model for each form of each operator that the NPU runs: the table of all cases."""

from __future__ import annotations

from tests.compiler import (
    op_cases_functions,
    op_cases_matrices,
    op_cases_more,
    op_cases_moves,
    op_cases_norms,
    op_cases_operands,
    op_cases_products,
)
from tests.compiler.op_case import Cases

TABLE = Cases(
    op_cases_products.CASES, op_cases_operands.CASES, op_cases_functions.CASES, op_cases_moves.CASES,
    op_cases_matrices.CASES, op_cases_norms.CASES, op_cases_more.CASES,
)  # fmt: skip
CASES, OPSETS = TABLE.builds, TABLE.opsets
