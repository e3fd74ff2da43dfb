"""The sub-commands of ``furiosa``, as plain tables."""

from __future__ import annotations

_COMPILER = "FuriosaAI SDK Compiler for DNN models"

# A fixed list: whatever else is on PATH under such a name is not ours to run.
COMMAND_LIST = (
    ("furiosa-compile", _COMPILER),
    ("furiosa-compiler", _COMPILER),
    ("furiosa-litmus", "Validator to check if DNN models work in FuriosaAI SDK"),
    ("furiosa-bench", "Benchmark of latency and throughput of DNN models"),
    ("furiosa-server", "RESTful/GRPC Serving framework for DNN models"),
)

# Sub-commands of our own: the module of each, imported when it is called, and its help. `main(arguments)` of the module
# gets what follows the sub-command, and returns the exit status.
OWN_COMMANDS = {
    "ops": ("furiosa.cli.ops", "The operators that the NPU runs, and what must hold for that"),
    "enf": ("furiosa.cli.enf", "A look into compiled files: steps, programs, instructions and where they come from"),
    "env": ("furiosa.cli.environment", "Every environment variable, with its value, origin and meaning"),
    "quantize": ("furiosa.cli.quantize", "Quantization of a float model to int8, with a look at what is lost"),
    "cache": ("furiosa.cli.cache", "The cache of compiler results: what it holds, and making it smaller"),
    "completion": ("furiosa.cli.completion", "What bash, zsh and fish need to complete these commands"),
}
