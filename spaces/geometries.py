"""Which geometries the networks of a space can have on images of a size, all layers together.

Layers may share some of their geometry, as `all_layers.kernel_size`. For each choice of what is shared there is one
`Fitting` of the layers; this class searches them for how deep a network may be, which shared choice is
nearest to a requested one, and how many geometries there are.
"""

from collections.abc import Iterator, Mapping, Sequence
from itertools import combinations, product

from .arithmetic import Volume
from .definition import LAYER_KEYS, Definition
from .dimension import Choice, Dimension, Options
from .fitting import GEOMETRY, POOL_SIZES, Fitting, Side

SharedChoice = tuple[Choice, ...]


class Geometries:
    """The geometries that a definition allows; a `side` is the height and width of the images.

    `depths` are the numbers of layers it allows; `layers[i]` names, for every key of layer i, the dimension that
    decides it: the layer's own, or the one that all layers share; `shared` are the open dimensions of geometry that all
    layers share, which are settled before the first layer. A `SharedChoice` has a value for each of these.
    """

    def __init__(self, definition: Definition, dimensions: Mapping[str, Dimension]) -> None:
        self.dimensions = dimensions
        self.exact_fit = definition.exact_fit
        self.depths = tuple(sorted(int(value) for value in self.options("layers")))
        self.layers = [{key: _decides(definition, i, key) for key in LAYER_KEYS} for i in range(1, self.depths[-1] + 1)]
        names = (f"all_layers.{key}" for key in GEOMETRY)
        self.shared = tuple(name for name in names if name in dimensions and not dimensions[name].fixed)
        self._fittings: dict[SharedChoice, Fitting] = {}
        self._used: dict[int, list[str]] = {}
        self._buildable: dict[Side, tuple[int, ...]] = {}

    def options(self, name: str) -> tuple[Choice, ...]:
        """Return the values that a dimension may take; none of a continuous one."""
        return self.dimensions[name].values or ()

    def used(self, count: int) -> list[str]:
        """Return the open dimensions that decide something in the first `count` layers, each once."""
        if count not in self._used:
            named = (name for layer in self.layers[:count] for name in layer.values())
            self._used[count] = [name for name in dict.fromkeys(named) if not self.dimensions[name].fixed]
        return self._used[count]

    def shared_choices(self) -> Iterator[SharedChoice]:
        """Yield every choice of the geometry that layers share."""
        return product(*map(self.options, self.shared))

    def fitting(self, shared: SharedChoice) -> Fitting:
        """Return the fitting of the layers, given the geometry that they share."""
        if shared not in self._fittings:
            chosen = dict(zip(self.shared, shared, strict=True))
            names = ([layer[key] for key in GEOMETRY] for layer in self.layers)
            options = [[Options((chosen[n],) if n in chosen else self.options(n)) for n in layer] for layer in names]
            self._fittings[shared] = Fitting(options, self.exact_fit)
        return self._fittings[shared]

    def possible(self, shared: SharedChoice, count: int, side: Side) -> bool:
        """Whether so many layers that share this geometry can be built."""
        return self.fitting(shared).possible(0, side, count)

    def buildable(self, side: Side) -> tuple[int, ...]:
        """Return the numbers of layers for which at least one network fits."""
        if side not in self._buildable:
            shared = list(self.shared_choices())
            self._buildable[side] = tuple(
                count for count in self.depths if any(self.possible(choice, count, side) for choice in shared)
            )
        return self._buildable[side]

    def nearest_shared(self, count: int, values: Mapping[str, Choice], side: Side) -> SharedChoice:
        """Return the shared geometry nearest to the requested one for which `count` layers can be built."""
        # Unused ones were dropped: pool sizes where nothing is pooled, keys that each layer sets itself.
        dropped = [
            name
            for name in self.shared
            if name not in values and (_key(name) in POOL_SIZES or name not in self.used(count))
        ]
        wish = tuple(
            self.options(name)[0] if name in dropped else self.dimensions[name].nearest(values[name])
            for name in self.shared
        )
        if self.possible(wish, count, side):
            return wish
        dimensions = [Options(self.options(name)) for name in self.shared]

        def distances(choice: SharedChoice) -> tuple[float, ...]:
            return tuple(d.distance(a, b) for d, a, b in zip(dimensions, choice, wish, strict=True))

        return min((choice for choice in self.shared_choices() if self.possible(choice, count, side)), key=distances)

    def ways(self, count: int, side: Side) -> int:
        """Return how many geometries there are for so many layers.

        A shared pool size matters only to networks that have a pool it decides. So networks are counted by the set of
        shared pool sizes that matter, each for the values of these alone.
        """
        total = 0
        used = [name for name in self.shared if name in self.used(count)]
        sizes = [name for name in used if _key(name) in POOL_SIZES]
        needs = [{name for name in map(layer.get, POOL_SIZES) if name in sizes} for layer in self.layers[:count]]
        for matter in _subsets(sizes):
            open_names = [name for name in used if name not in sizes or name in matter]
            for values in product(*map(self.options, open_names)):
                chosen = dict(zip(open_names, values, strict=True))
                fitting = self.fitting(tuple(chosen.get(name, self.options(name)[0]) for name in self.shared))
                for allowed in _subsets(matter):  # inclusion and exclusion: pools that need all of `matter`, not less
                    pooled = frozenset(i for i, need in enumerate(needs) if need <= set(allowed))
                    total += (-1) ** (len(matter) - len(allowed)) * fitting.count(0, side, count, pooled)
        return total

    def dead_end(self, input: Volume) -> str:
        """Explain why nothing fits: list the volumes behind the geometries that shrink least, until no filter fits."""
        count = self.depths[0]
        best: list[str] = []
        for shared in self.shared_choices():
            fitting, side, trace = self.fitting(shared), (input.height, input.width), []
            for i in range(count):
                after = fitting.after(i, side)
                if not after:
                    sizes = sorted({str(size) for size in fitting.options[i][0].values}, key=int)
                    exact = " without a remainder" if self.exact_fit else ""
                    trace.append(
                        f"  layer {i + 1}: no filter of size {', '.join(sizes)} (with its pool) fits "
                        f"{side[0]}x{side[1]}{exact}"
                    )
                    break
                geometry, behind = max(after.items(), key=lambda item: item[1])
                trace.append(
                    f"  layer {i + 1}: {side[0]}x{side[1]} -> {behind[0]}x{behind[1]}"
                    f"   (K={geometry.kernel_size}, S={geometry.stride}, padding {geometry.padding}, "
                    f"pooling {geometry.pooling})"
                )
                side = behind
            best = max(best, trace, key=len)
        return (
            f"nothing in this space fits the input {input} with {count} layer{'s' if count > 1 else ''} or more:\n"
            + "\n".join(best)
            + "\nAllow smaller filters, padding, fewer layers or `pooling: none`."
        )


def _decides(definition: Definition, number: int, key: str) -> str:
    """Return the dimension that decides a key of a layer: its own, or the one that all layers share."""
    own = definition.by_layer.get(number)
    if own is not None and getattr(own, key) is not None:
        return f"layer{number}.{key}"
    shared = getattr(definition.all_layers, key) is not None
    return f"all_layers.{key}" if shared else f"layer{number}.{key}"


def _key(name: str) -> str:
    return name.rpartition(".")[2]


def _subsets(names: Sequence[str]) -> Iterator[tuple[str, ...]]:
    for size in range(len(names) + 1):
        yield from combinations(names, size)
