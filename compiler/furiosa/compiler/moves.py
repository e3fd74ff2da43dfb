"""A row of views and transpositions as one: where the factors of a tensor's axes go."""

from __future__ import annotations

from dataclasses import dataclass
from itertools import count


@dataclass
class Moves:
    """A tensor of ``shape`` whose axes were split, permuted and joined; ``order`` are factors of the axes, outermost
    first, as the elements lie now, ``source`` as they lay in the beginning.
    """

    sizes: dict[int, int]
    source: list[int]
    order: list[int]

    @classmethod
    def of(cls, shape: tuple[int, ...]) -> Moves:
        """Nothing moved yet."""
        factors = list(range(len(shape)))
        return cls(dict(enumerate(shape)), factors, list(factors))

    def view(self, shape: tuple[int, ...]) -> list[list[int]] | None:
        """The factors of each axis when the elements are seen with ``shape``; None when an axis begins within a factor
        that cannot be split there.
        """
        rest, axes = list(reversed(self.order)), []
        fresh = count(max(self.sizes, default=0) + 1)
        for size in shape:
            axes.append(axis := list[int]())
            while size > 1:
                if not rest:
                    return None
                factor = rest.pop()
                have = self.sizes[factor]
                if size % have:
                    if have % size:
                        return None
                    outer, inner = next(fresh), next(fresh)
                    self._split(factor, (outer, size), (inner, have // size))
                    rest.append(inner)
                    factor, have = outer, size
                axis.append(factor)
                size //= have
        return axes

    def _split(self, factor: int, *parts: tuple[int, int]) -> None:
        names = [name for name, _ in parts]
        self.sizes.update(parts)
        for factors in (self.source, self.order):
            place = factors.index(factor)
            factors[place : place + 1] = names

    def transpose(self, shape: tuple[int, ...], perm: tuple[int, ...]) -> bool:
        """Permute the axes of the elements seen with ``shape``; False when that cannot be expressed."""
        axes = self.view(shape)
        if axes is None:
            return False
        ones = [factor for factor in self.order if self.sizes[factor] == 1]
        self.order = [factor for axis in perm for factor in axes[axis]]
        self.order += [factor for factor in ones if factor not in self.order]
        return True

    def permutation(self) -> tuple[tuple[int, ...], tuple[int, ...]]:
        """The shape and the permutation, on as few axes as possible, that do all the moves at once."""
        source = [factor for factor in self.source if self.sizes[factor] > 1]
        place = {factor: index for index, factor in enumerate(source)}
        runs: list[list[int]] = []
        for index in (place[factor] for factor in self.order if factor in place):
            if runs and index == runs[-1][-1] + 1:
                runs[-1].append(index)
            else:
                runs.append([index])
        firsts = sorted(run[0] for run in runs)
        sizes = dict.fromkeys(firsts, 1)
        for run in runs:
            for index in run:
                sizes[run[0]] *= self.sizes[source[index]]
        return tuple(sizes[first] for first in firsts), tuple(firsts.index(run[0]) for run in runs)
