"""IR files: every layer is a source again and gives the same ENF; damaged and impossible ones are refused."""

from __future__ import annotations

import re
from contextlib import suppress
from functools import cache

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from tests.compiler.quantized_nets import NETS, mixed, tiny

from furiosa.compiler import compile_model, irfile
from furiosa.compiler.pipeline import LAYERS
from furiosa.isa.errors import FuriosaError, InternalError, ModelError, OptionError, UnsupportedError

IRS = LAYERS[:-1]


@cache
def ir(layer: str, net: str = "mixed") -> bytes:
    return compile_model(NETS[net](), target="warboy", target_ir=layer).data


@pytest.mark.parametrize("layer", IRS)
@pytest.mark.parametrize("net", ["resnet", "mixed", "tiny"])
def test_every_layer_is_a_source_again(net: str, layer: str) -> None:
    file = ir(layer, net)
    assert compile_model(file, target="warboy").enf == compile_model(NETS[net](), target="warboy").enf
    assert irfile.layer_of(file) == layer
    assert irfile.dump(layer, irfile.load(file, "x")) == file


@pytest.mark.parametrize("layer", IRS)
def test_a_layer_leads_to_every_later_one_and_to_no_earlier(layer: str) -> None:
    at = IRS.index(layer)
    for later in IRS[at + 1 :]:
        assert compile_model(ir(layer), target="warboy", target_ir=later).data == ir(later)
    for earlier in IRS[: at + 1]:
        with pytest.raises(OptionError, match=f"is a `{layer}` already and cannot become a `{earlier}`"):
            compile_model(ir(layer), target="warboy", target_ir=earlier)


def test_what_is_settled_cannot_be_chosen_again() -> None:
    with pytest.raises(OptionError, match="the batch size of an IR file is settled already"):
        compile_model(ir("ldfg"), batch_size=2)
    for layer in ("gir", "lir"):
        with pytest.raises(OptionError, match="the file is for `warboy`, not for `warboy-2pe`"):
            compile_model(ir(layer), target="warboy-2pe")
    assert compile_model(ir("cdfg"), target="warboy-2pe").enf == compile_model(mixed(), target="warboy-2pe").enf


@pytest.mark.parametrize("layer", IRS)
def test_a_fault_is_named_with_its_line(layer: str) -> None:
    file = ir(layer)
    lines = file.split(b"\n")
    bad = [i for i, line in enumerate(lines) if line.startswith((b"%3", b"do Lower", b"  0 Load", b"step 0"))][-1]
    lines[bad] = b"nonsense here"
    with pytest.raises(ModelError) as caught:
        compile_model(b"\n".join(lines), target="warboy")
    assert (caught.value.where or "").startswith(f"the given bytes, line {bad + 1}: `nonsense here`")
    assert "cannot be read" in caught.value.message


def test_damage_is_named() -> None:
    file = ir("dfg")
    head, _, rest = file.partition(b"\n")
    for damaged, message in (
        (file[:12], "damaged first line"),
        (file[:-1], "constants of the IR file are damaged or cut off"),
        (file[:-1] + bytes([file[-1] ^ 1]), "constants of the IR file are damaged or cut off"),
        (head.replace(b" 1 ", b" 7 ") + b"\n" + rest, "of version 7 cannot be read"),
        (head.replace(b"ir dfg", b"ir xyz") + b"\n" + rest, "IR `xyz` of version 1 cannot be read"),
        (head + b"\n\xff" + rest, "text of the IR file is damaged"),
        (head + b"\n" + rest.split(b"\n", 1)[1], "there is no `graph` line"),
    ):
        with pytest.raises(ModelError, match=re.escape(message)):
            compile_model(damaged)


@pytest.mark.parametrize("layer", IRS)
def test_any_truncation_is_refused(layer: str) -> None:
    file = ir(layer, "tiny")
    for end in range(0, len(file), max(1, len(file) // 40)):
        with pytest.raises(FuriosaError) as caught:
            compile_model(file[:end], target="warboy")
        assert not isinstance(caught.value, InternalError)


@settings(max_examples=60)
@given(st.data())
def test_an_edited_file_compiles_or_is_refused(data: st.DataObject) -> None:
    """Numbers and words of the text may be anything: that is the author's fault, never an internal error."""
    file = ir(data.draw(st.sampled_from(IRS)), "tiny")
    head, _, rest = file.partition(b"\n")
    size = int(head.split()[3])
    body, constants = rest[: len(rest) - size].decode(), rest[len(rest) - size :]
    words = list(re.finditer(r"-?\d+|\w+", body))
    word = words[data.draw(st.integers(0, len(words) - 1))]
    new = data.draw(st.sampled_from(("0", "-1", "7", "2147483648", "9223372036854775808", "None", "u8", "f32", "input",
                                     "npu.conv2d", "const", "", "''", "()")))  # fmt: skip
    edited = body[: word.start()] + new + body[word.end() :]
    with suppress(ModelError, UnsupportedError, OptionError):
        compile_model(head + b"\n" + edited.encode() + constants, target="warboy")


def test_hostile_records_are_not_evaluated() -> None:
    file = ir("dfg", "tiny")
    for evil in (b"__import__('os').system('true')", b"(" * 5000, b"-" * 5000 + b"x", b"9" * 5000, b"[x for x in ()]"):
        edited = re.sub(rb"batch_size=1", b"batch_size=" + evil, file, count=1)
        with pytest.raises(ModelError, match="cannot be read"):
            compile_model(edited)


def test_content_tells_what_a_file_is() -> None:
    assert irfile.layer_of(tiny()) is None
    with pytest.raises(OptionError, match="is a `enf` already"):
        compile_model(compile_model(tiny()).enf)
    with pytest.raises(FuriosaError, match="TFLite"):
        compile_model(b"\x20\0\0\0TFL3" + bytes(100))
