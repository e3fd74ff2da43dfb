"""A batch in parts: the jobs of a cluster for some images, then for the next ones, so that less is alive at a time."""

from __future__ import annotations

from dataclasses import replace
from math import gcd

from furiosa.compiler.gir.boxes import Axis, Reads, parts
from furiosa.compiler.gir.jobs import Buffer, Job, Ref, Work


def batch_of(work: Work) -> int:
    """How many images the jobs compute, each on its own; 1 when they are not independent of each other.

    A job may see an image as several along its first axis.
    """
    batch = gcd(*(job.shape[0] for job in work.jobs)) or 1
    return batch if all(_by_image(job, batch) for job in work.jobs) else 1


def in_parts(work: Work, count: int) -> Work:
    """The same work on about equal parts of the batch, of which ``count`` is at most ``batch_of(work)``."""
    batch = batch_of(work)
    ports = {*work.inputs, *work.outputs, *(buffer for _, buffer in work.consts)}
    buffers = sorted(ports, key=lambda buffer: buffer.number)
    for number, port in enumerate(buffers):
        port.number = number
    jobs: list[Job] = []
    for first, end in parts(batch, -(-batch // count)):
        own: dict[Buffer, Buffer] = {}
        for job in work.jobs:
            inputs = tuple(_part(ref, batch, first, end, own, ports, buffers) for ref in job.inputs)
            output = _part(job.output, batch, first, end, own, ports, buffers)
            reads = tuple(_reads(each, end - first, batch) for each in job.reads)
            jobs.append(replace(job, inputs=inputs, output=output, reads=reads, number=len(jobs)))
    return Work(tuple(jobs), work.inputs, work.outputs, work.consts, tuple(buffers)).linked()


def _by_image(job: Job, batch: int) -> bool:
    """Whether an image of a job's output needs that image of its inputs, and nothing else but constants."""
    first = Axis(0, job.shape[0])
    return _imagewise(job.output, batch) and all(
        (axes[0] == first and _imagewise(ref, batch)) or (axes[0].step == 0 and ref.buffer.constant)
        for axes, ref in zip(job.reads, job.inputs)
    )


def _imagewise(ref: Ref, batch: int) -> bool:
    """Whether a tensor's buffer holds its images one after the other."""
    whole = ref.strides[0] * ref.shape[0] == ref.buffer.size and ref.offset < ref.strides[0]
    return whole and ref.shape[0] % batch == 0 and (ref.buffer.home or ref.buffer.shape[0] % batch == 0)


def _part(
    ref: Ref, batch: int, first: int, end: int, own: dict[Buffer, Buffer], ports: set[Buffer], buffers: list[Buffer]
) -> Ref:
    """Some images of a tensor: in the buffer of a port, else in a buffer of their own."""
    if ref.buffer.constant:
        return ref
    each = ref.shape[0] // batch
    shape = (each * (end - first), *ref.shape[1:])
    if ref.buffer in ports:
        return ref.part(ref.name, (each * first, 0, 0, 0), shape)
    buffer = own.get(ref.buffer)
    if buffer is None:
        n, h, w, c = ref.buffer.shape
        images = (n // batch * (end - first), h, w, c)
        buffer = own[ref.buffer] = Buffer(ref.buffer.name, images, len(buffers))
        buffers.append(buffer)
    return Ref(buffer, ref.name, ref.offset, shape, ref.strides)


def _reads(axes: Reads, images: int, batch: int) -> Reads:
    n, h, w, c = axes
    return (n if n.step == 0 else n._replace(extent=n.extent // batch * images)), h, w, c
