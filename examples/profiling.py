"""Where the time of an inference goes: a trace of the runtime's steps (measured) and of the NPU's work (modelled).

python examples/profiling.py trace.json
"""

from __future__ import annotations

import json
import sys
from collections import defaultdict
from typing import Any

from furiosa.quantizer import quantize
from furiosa.runtime.profiler import profile
from furiosa.runtime.sync import create_runner
from quantize_digits import calibrate, data, float_model, to_float

WHERE = {"Runtime": "host", "NPU": "NPU", "": "program"}


def spans(events: list[dict[str, Any]]) -> dict[tuple[str, str], list[float]]:
    """The durations in microseconds of the spans of each place and name; `B` and `E` events are pairs, `X` whole."""
    found: dict[tuple[str, str], list[float]] = defaultdict(list)
    opened: dict[tuple[Any, ...], list[dict[str, Any]]] = defaultdict(list)
    for event in events:
        kind = WHERE.get(event.get("cat", ""), "?"), event["name"]
        thread = event["pid"], event["tid"], event["name"]
        if event["ph"] == "B":
            opened[thread].append(event)
        elif event["ph"] == "E":
            found[kind].append(event["ts"] - opened[thread].pop()["ts"])
        elif event["ph"] == "X":
            found[kind].append(event["dur"])
    return found


def main() -> None:
    path = sys.argv[1] if len(sys.argv) > 1 else "trace.json"
    model = float_model()
    quantized = quantize(model, calibrate(model))
    images = to_float(data()[0][:5])
    with open(path, "w") as file, profile(file=file) as profiler, create_runner(quantized) as runner:
        profiler.pause()
        runner.run([images[:1]])  # not in the trace
        profiler.resume()
        for index, image in enumerate(images):
            with profiler.record(f"image {index}"):  # what happens inside is its child
                runner.run([image[None]])

    with open(path) as file:
        found = spans(json.load(file))
    print(f"{'where':<9}{'span':<28}{'count':>6}{'mean us':>10}")
    for (where, name), durations in sorted(found.items(), key=lambda item: -sum(item[1])):
        print(f"{where:<9}{name:<28}{len(durations):>6}{sum(durations) / len(durations):>10.1f}")
    print(f"\n{path} opens in https://ui.perfetto.dev and chrome://tracing")


if __name__ == "__main__":
    main()
