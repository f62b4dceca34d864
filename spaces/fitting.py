"""Which filters and pools fit a volume and leave room for the remaining layers.

A layer's geometry is what changes the height and width: kernel size, stride, padding, pooling and the pool's size and
stride. For layer i, a given volume and the number of layers to go, `Fitting` tells which geometries can be completed
to a whole network, which of them is nearest to a requested one, and how many there are. All results are cached: the
same few volumes come up for every candidate.
"""

from collections import Counter
from collections.abc import Callable, Sequence
from functools import cache
from itertools import product
from typing import NamedTuple

from .arithmetic import Padding, doubled_padding, fits_exactly, output_size
from .dimension import Options

AS_POOL_SIZE = "size"  # the pool's stride is the pool's size


class Geometry(NamedTuple):
    """What one layer does to height and width. Without a pool its size and stride are 0."""

    kernel_size: int
    stride: int
    padding: Padding
    pooling: str
    pool_size: int
    pool_stride: int | str

    def without_pool_sizes(self) -> "Geometry":
        """Return the geometry with no pool sizes where there is no pool."""
        return self._replace(pool_size=0, pool_stride=0) if self.pooling == "none" else self

    def after(self, side: int, exact: bool) -> int:
        """Return the output side of the layer, 0 where it does not fit (or leaves a remainder, with `exact`)."""
        size, stride, padding = self.kernel_size, self.stride, self.padding
        if exact and not fits_exactly(side, size, stride, padding):
            return 0
        side = output_size(side, size, stride, padding)
        if self.pooling == "none" or side == 0:
            return side
        pool_stride = self.pool_size if self.pool_stride == AS_POOL_SIZE else int(self.pool_stride)
        if exact and not fits_exactly(side, self.pool_size, pool_stride):
            return 0
        return output_size(side, self.pool_size, pool_stride)


GEOMETRY = Geometry._fields
POOL_SIZES = ("pool_size", "pool_stride")  # unused where nothing is pooled
Side = tuple[int, int]


class Fitting:
    """The geometries that fit, for one list of layers; `options[i]` are the choices of layer i, field by field."""

    def __init__(self, options: Sequence[Sequence[Options]], exact_fit: bool) -> None:
        self.options = options
        self.exact_fit = exact_fit
        # Layers with the same options are one to the caches, under the number of the first; so are layers that are
        # followed by the same, as many as are to go.
        self._alike = [options.index(own) for own in options]
        self._first = cache(self._compute_first)
        # Caches per instance: they are freed with this object.
        self.choices = cache(self._compute_choices)
        self._sides_after = cache(self._compute_sides_after)
        self.after = cache(self._compute_after)
        self.possible = cache(self._compute_possible)
        self.fitting = cache(self._compute_fitting)
        self.nearest = cache(self._compute_nearest)
        self.count = cache(self._compute_count)

    def _compute_choices(self, layer: int) -> tuple[Geometry, ...]:
        """Return all geometries of a layer, each once, whether they fit or not, in the order of the options.

        A padding that reaches the kernel's size is left out: a filter at the edge would see nothing but zeros.
        """
        found: dict[Geometry, None] = {}  # a dict, to keep the order
        for values in product(*(dimension.values for dimension in self.options[layer])):
            geometry = Geometry(*values).without_pool_sizes()  # type: ignore[arg-type]
            if not isinstance(geometry.padding, int) or geometry.padding < geometry.kernel_size:
                found[geometry] = None
        return tuple(found)

    def _compute_first(self, layer: int, to_go: int) -> int:
        """Return the first layer that begins a run of layers with the same options as the `to_go` from this one on."""
        wanted = self._alike[layer : layer + to_go]
        return next(i for i in range(layer + 1) if self._alike[i : i + to_go] == wanted)

    def _compute_sides_after(self, layer: int, side: int) -> tuple[int, ...]:
        """Return the output side of each geometry of a layer, 0 where it does not fit.

        Heights and widths are apart in the cache: there are far fewer of each than of pairs.
        """
        return tuple(geometry.after(side, self.exact_fit) for geometry in self.choices(layer))

    def _compute_after(self, layer: int, side: Side) -> dict[Geometry, Side]:
        """Return the geometries of a layer that fit this volume, with the output height and width of each."""
        first = self._alike[layer]
        sides = zip(self._sides_after(first, side[0]), self._sides_after(first, side[1]), strict=True)
        return {geometry: after for geometry, after in zip(self.choices(first), sides, strict=True) if all(after)}

    def _compute_possible(self, layer: int, side: Side, to_go: int) -> bool:
        """Whether layers `layer` to `layer + to_go - 1` can be built on this volume."""
        if to_go == 0:
            return True
        first = self._alike[layer]
        pairs = set(zip(self._sides_after(first, side[0]), self._sides_after(first, side[1]), strict=True))
        reachable = sorted((pair for pair in pairs if all(pair)), reverse=True)
        behind = self._first(layer + 1, to_go - 1)
        return any(self.possible(behind, after, to_go - 1) for after in reachable)

    def _compute_fitting(self, layer: int, side: Side, to_go: int) -> dict[Geometry, Side]:
        """Return the geometries of a layer that fit and leave room for the others, with the output side of each."""
        return {
            geometry: after
            for geometry, after in self.after(layer, side).items()
            if to_go == 1 or self.possible(self._first(layer + 1, to_go - 1), after, to_go - 1)
        }

    def _compute_nearest(self, layer: int, side: Side, to_go: int, wish: Geometry) -> tuple[Geometry, Side]:
        """Return the fitting geometry nearest to `wish`: first in kernel size, then stride, and so on in order."""
        fitting = self.fitting(layer, side, to_go)
        exact = wish.without_pool_sizes()
        if exact in fitting:
            return exact, fitting[exact]
        nearest = list(fitting)
        for distance in self._distances(layer, wish):
            far = [distance(geometry) for geometry in nearest]
            least = min(far)
            nearest = [geometry for geometry, d in zip(nearest, far, strict=True) if d == least]
        return nearest[0], fitting[nearest[0]]

    def _distances(self, layer: int, wish: Geometry) -> list[Callable[[Geometry], float]]:
        """Return functions that measure a geometry's distance from the wish, one per field, by priority."""
        kernel_size, stride, _, pooling, pool_size, pool_stride = self.options[layer]
        wished_zeros = doubled_padding(wish.kernel_size, wish.padding)
        distances: list[Callable[[Geometry], float]] = [
            lambda g: kernel_size.distance(g.kernel_size, wish.kernel_size),
            lambda g: stride.distance(g.stride, wish.stride),
            # `same` and a number are compared by the zeros that they add.
            lambda g: abs(doubled_padding(g.kernel_size, g.padding) - wished_zeros),
            lambda g: g.padding != wish.padding,
        ]
        if wish.pooling == "none":
            return [*distances, lambda g: g.pooling != "none"]
        return [
            *distances,
            lambda g: g.pooling == "none",
            lambda g: g.pooling != "none" and pooling.distance(g.pooling, wish.pooling),
            lambda g: g.pooling != "none" and pool_size.distance(g.pool_size, wish.pool_size),
            lambda g: g.pooling != "none" and pool_stride.distance(g.pool_stride, wish.pool_stride),
        ]

    def _compute_count(self, layer: int, side: Side, to_go: int, pooled: frozenset[int]) -> int:
        """Return how many ways there are to build the layers to go, with pools in the layers `pooled` at most."""
        if to_go == 0:
            return 1
        alike = Counter(
            after
            for geometry, after in self.fitting(self._first(layer, to_go), side, to_go).items()
            if layer in pooled or geometry.pooling == "none"
        )
        return sum(ways * self.count(layer + 1, after, to_go - 1, pooled) for after, ways in alike.items())
