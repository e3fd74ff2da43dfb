"""What SDK programs look up under this name."""

from furiosa.npu_sim.devices import default_specification


def default_device() -> str:
    """The specification of the devices that are opened when a program names none."""
    return default_specification()
