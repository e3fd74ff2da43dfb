"""What the packages of the SDK have in common, under the names that SDK programs import."""

from furiosa.isa.version import version_info

__version__ = version_info()
