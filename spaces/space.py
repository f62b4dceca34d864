"""SearchSpace: a flat, ordered list of named dimensions; values in, candidates out, valid by construction.

A space is a definition bound to an input volume and a number of classes. Engines choose a value for each of
`space.dimensions` and know nothing of networks; `fit` brings the values to what can be built; `candidate` builds.
"""

import random
from collections.abc import Iterator, Mapping, Sequence
from functools import cached_property
from itertools import combinations, product
from typing import Any, Protocol

from .architecture import Architecture, Candidate, Head, Layer, Recipe
from .arithmetic import Volume
from .definition import DEFAULTS, LAYER_KEYS, Definition
from .definition import dimensions as named_dimensions
from .dimension import Choice, Dimension, Options
from .errors import InputError
from .fitting import AS_POOL_SIZE, GEOMETRY, POOL_SIZES, Fitting, Geometry, Side

Values = dict[str, Choice]
# Without their colours to lose, images of one channel have no use for these.
COLOUR_ONLY = "augmentation.greyscale"
VARIATIONS = 2000  # of one proposal at most
PROBES = 500  # random candidates that are tried before limits are called impossible


class Suggests(Protocol):
    """What `SearchSpace.suggest` needs of an Optuna trial."""

    def suggest_categorical(self, name: str, choices: Sequence[Any]) -> Any:
        """Return one of the choices."""

    def suggest_int(self, name: str, low: int, high: int, *, step: int = 1, log: bool = False) -> int:
        """Return a whole number."""

    def suggest_float(
        self, name: str, low: float, high: float, *, step: float | None = None, log: bool = False
    ) -> float:
        """Return a number."""


class SearchSpace:
    """All candidates that a definition allows on one input.

    `dimensions` holds what is open, by name and in order; `fixed` the value of everything else. Names are those of the
    field: `layers`, `layer1.kernel_size`, `all_layers.activation`, `head.units1`, `learning_rate`,
    `augmentation.rotation`.

    Raises:
        InputError: nothing fits the input, or nothing that was tried keeps the limits.
    """

    def __init__(self, definition: Definition, input: Volume, classes: int) -> None:
        self.definition = definition
        self.input = Volume(*input)
        self.classes = classes
        self.all_dimensions = dict(named_dimensions(definition))
        self.dimensions: dict[str, Dimension] = {
            name: dimension for name, dimension in self.all_dimensions.items() if not dimension.fixed
        }
        self.fixed: Values = {
            name: dimension.values[0]
            for name, dimension in self.all_dimensions.items()
            if isinstance(dimension, Options) and dimension.fixed
        }
        self._depths = tuple(sorted(int(value) for value in self.all_dimensions["layers"].values or ()))
        self._layer_names = [{key: self._name(i, key) for key in LAYER_KEYS} for i in range(1, self._depths[-1] + 1)]
        # Dimensions of the geometry that all layers share: they are settled before the first layer.
        self._shared = [f"all_layers.{key}" for key in GEOMETRY if f"all_layers.{key}" in self.dimensions]
        self._fittings: dict[tuple[Choice, ...], Fitting] = {}
        self._used_names: dict[int, list[str]] = {}
        self._check()

    # ------------------------------------------------------------------ values to candidates

    def fit(self, values: Mapping[str, Choice]) -> Values:
        """Return the nearest values that can be built on the input, without those that have no meaning.

        Walks the layers in order; each value that does not fit the volume, or would leave no room for the layers to
        come, gives way to the nearest that does. Deterministic; what already fits stays as it is, so that
        fit(fit(v)) == fit(v).

        Raises:
            KeyError: a dimension that has a meaning here has no value.
            ValueError: a value that is not in its dimension's domain, such as an unknown activation.
        """
        fitted: Values = {}
        count = self._fitting_depth(int(self._value("layers", values)), values)
        self._put(fitted, "layers", count)
        shared = self._fitting_shared(count, values)
        settled = dict(zip(self._shared, shared, strict=True))
        fitting, side = self._fitting(shared), (self.input.height, self.input.width)
        for i in range(count):
            layer_names = self._layer_names[i]
            wish = Geometry(*(self._wish(layer_names[key], key, values, settled) for key in GEOMETRY))  # type: ignore[arg-type]
            geometry, side = fitting.nearest(i, side, count - i, wish)
            for key, value in zip(GEOMETRY, geometry, strict=True):
                if geometry.pooling != "none" or key not in POOL_SIZES:
                    self._put(fitted, layer_names[key], value)
            for key in LAYER_KEYS:
                if key not in GEOMETRY and (name := layer_names[key]) in self.dimensions:
                    fitted[name] = self._value(name, values)
        hidden = int(self._value("head.hidden_layers", values))
        for name in self._rest:
            if self._means_something(name, hidden):
                fitted[name] = self._value(name, values)
        # In the order of the dimensions, whatever order they were settled in.
        return {name: fitted[name] for name in self.dimensions if name in fitted}

    def candidate(self, values: Mapping[str, Choice]) -> Candidate:
        """Build the candidate of fitted values."""
        merged = {**self.fixed, **values}
        layers = tuple(self._layer(i, merged) for i in range(int(merged["layers"])))
        hidden = int(merged["head.hidden_layers"])
        head = Head.model_validate(
            {
                "pooling": merged["head.pooling"],
                "units": tuple(merged[f"head.units{number}"] for number in range(1, hidden + 1)),
                "dropout": merged["head.dropout"],
            }
            | ({"activation": merged["head.activation"]} if hidden else {})
        )
        recipe = {key: merged[key] for key in DEFAULTS["recipe"]}
        augmentation = {
            key: merged[name]
            for key in DEFAULTS["augmentation"]
            if (name := f"augmentation.{key}") in merged and self._means_something(name, hidden)
        }
        return Candidate(
            architecture=Architecture(input=self.input, layers=layers, head=head, classes=self.classes),
            recipe=Recipe.model_validate(recipe | {"augmentation": augmentation}),
        )

    def excess(self, candidate: Candidate) -> str | None:
        """Return which limit a candidate exceeds and by what, or None."""
        limits, architecture = self.definition.limits, candidate.architecture
        found = (
            ("max_parameters", limits.max_parameters, architecture.parameters, "parameters"),
            ("max_macs", limits.max_macs, architecture.macs, "MACs"),
            (
                "max_macs_per_pixel",
                limits.max_macs_per_pixel,
                architecture.macs / (self.input.height * self.input.width),
                "MACs for each pixel",
            ),
            (
                "max_activation_mb",
                limits.max_activation_mb,
                architecture.activation_bytes / 1e6,
                "MB of activations",
            ),
        )
        for key, limit, value, unit in found:
            if limit is not None and value > limit:
                return f"{value:,.6g} {unit} exceed {key}: {limit:,}"
        return None

    def draw(self, random_source: random.Random) -> Values:
        """Return fitted values of a random proposal; limits are not looked at."""
        return self.fit({name: d.draw(random_source) for name, d in self.dimensions.items()})

    def perturb(self, values: Mapping[str, Choice], changes: int, random_source: random.Random) -> Values:
        """Return fitted values that differ from `values` by about so many fresh draws."""
        full = {name: d.draw(random_source) for name, d in self.dimensions.items()}
        fresh = set(random_source.sample(list(full), min(changes, len(full))))
        kept = {name: value for name, value in values.items() if name in full and name not in fresh}
        return self.fit(full | kept)

    def variations(self, values: Mapping[str, Choice], random_source: random.Random) -> Iterator[Values]:
        """Yield fitted values ever further from `values`: from one changed dimension to all of them."""
        for attempt in range(VARIATIONS):
            yield self.perturb(values, 1 + attempt * len(self.dimensions) // VARIATIONS, random_source)

    def condition(self, name: str) -> tuple[str, int] | None:
        """Return the open dimension on which it depends whether `name` has a meaning, and the least value it needs.

        A layer's dimensions need as many layers, those of a hidden dense layer as many hidden layers; None for others.
        """
        section, _, key = name.rpartition(".")
        number = section.removeprefix("layer")
        if section.startswith("layer") and number.isdigit():
            parent, least = "layers", int(number)
        elif section == "head" and key.startswith("units"):
            parent, least = "head.hidden_layers", int(key.removeprefix("units"))
        else:
            return None
        return (parent, least) if parent in self.dimensions else None

    def suggest(self, trial: Suggests) -> Candidate:
        """Return the candidate of an Optuna trial, for an objective of one's own.

        Every open dimension that has a meaning is suggested by its name; what the trial suggests is then brought to the
        nearest that can be built and keeps the limits.

        Args:
            trial: an `optuna.Trial`, or what suggests as it does.
        """
        values: Values = {}
        for name, dimension in self.dimensions.items():
            needs = self.condition(name)
            if needs is None or int(values[needs[0]]) >= needs[1]:
                values[name] = _suggested(trial, name, dimension)
            else:  # it will be dropped
                values[name] = dimension.values[0] if isinstance(dimension, Options) else dimension.low
        return self.candidate(self.within_limits(self.fit(values)))

    def within_limits(self, fitted: Values) -> Values:
        """Return fitted values that keep the limits: these, or the first of their variations that does.

        Raises:
            InputError: none was found.
        """
        if self.excess(self.candidate(fitted)) is None:
            return fitted
        for other in self.variations(fitted, random.Random(repr(sorted(fitted.items())))):
            if self.excess(self.candidate(other)) is None:
                return other
        raise InputError(f"of {VARIATIONS} variations of a proposal none keeps the limits {self.definition.limits}")

    # ------------------------------------------------------------------ how large it is

    @property
    def continuous(self) -> list[str]:
        """The names of the dimensions with endlessly many values."""
        return [name for name, dimension in self.dimensions.items() if dimension.values is None]

    @cached_property
    def architectures(self) -> int:
        """How many architectures the space holds, limits aside; a continuous dimension counts as one value.

        Every setting counts, even where two amount to the same, as padding `valid` and 0 do.
        """
        return self._ways_of_head() * sum(
            self._ways(name for name in self._used(count) if _key(name) not in GEOMETRY) * self._geometries(count)
            for count in self._depths
        )

    @cached_property
    def recipes(self) -> int:
        """How many recipes the space holds; a continuous dimension counts as one value."""
        return self._ways(
            name for name in self._rest if not name.startswith("head.") and self._means_something(name, hidden=0)
        )

    def require_enumerable(self) -> None:
        """Raise an InputError that names the continuous dimensions, if there are any."""
        if self.continuous:
            raise InputError(
                f"the space cannot be enumerated: {', '.join(self.continuous)} "
                f"{'is a continuous range' if len(self.continuous) == 1 else 'are continuous ranges'}; "
                "give a list of options, a `step`, or one value (`--set NAME=VALUE`)"
            )

    def enumerate(self) -> Iterator[Values]:
        """Yield the fitted values of every candidate within the limits, each once; see `require_enumerable`."""
        self.require_enumerable()
        seen = set()
        for values in self._enumerate():
            # Shared dimensions without a meaning make the same candidate come up more than once.
            fitted = self.fit(values)
            candidate = self.candidate(fitted)
            if candidate.hash not in seen:
                seen.add(candidate.hash)
                if self.excess(candidate) is None:
                    yield fitted

    def _enumerate(self) -> Iterator[Values]:
        side = (self.input.height, self.input.width)
        rest = [name for name in self._rest if self._means_something(name, hidden=99)]
        free = [f"all_layers.{k}" for k in LAYER_KEYS if k not in GEOMETRY]
        free = [name for name in free if name in self.dimensions]
        for count, shared in product(self._depths, self._shared_choices()):
            if not self._fitting(shared).possible(0, side, count):
                continue
            start = {"layers": count, **dict(zip(self._shared, shared, strict=True))}
            for common in self._product(free):
                for layers in self._enumerate_layers(self._fitting(shared), 0, side, count):
                    for hidden in self._options("head.hidden_layers"):
                        named = [n for n in rest if self._means_something(n, int(hidden))]
                        named = [n for n in named if n != "head.hidden_layers"]
                        for other in self._product(named):
                            yield start | common | layers | {"head.hidden_layers": hidden} | other

    def _enumerate_layers(self, fitting: Fitting, i: int, side: Side, to_go: int) -> Iterator[Values]:
        if to_go == 0:
            yield {}
            return
        own = [
            name
            for key, name in self._layer_names[i].items()
            if key not in GEOMETRY and name in self.dimensions and not name.startswith("all_layers.")
        ]
        for geometry, after in fitting.fitting(i, side, to_go).items():
            chosen = {
                name: value
                for (key, value) in zip(GEOMETRY, geometry, strict=True)
                if (name := self._layer_names[i][key]) in self.dimensions and not name.startswith("all_layers.")
            }
            for other in self._product(own):
                for behind in self._enumerate_layers(fitting, i + 1, after, to_go - 1):
                    yield chosen | other | behind

    # ------------------------------------------------------------------ the parts of fit and count

    def _name(self, number: int, key: str) -> str:
        """Return the dimension that decides a key of a layer: its own, or the one that all layers share."""
        own = self.definition.by_layer.get(number)
        if own is not None and getattr(own, key) is not None:
            return f"layer{number}.{key}"
        shared = getattr(self.definition.all_layers, key) is not None
        return f"all_layers.{key}" if shared else f"layer{number}.{key}"

    def _value(self, name: str, values: Mapping[str, Choice]) -> Choice:
        if name in self.fixed:
            return self.fixed[name]
        return self.dimensions[name].nearest(values[name])

    def _wish(self, name: str, key: str, values: Mapping[str, Choice], settled: Values) -> Choice:
        if name in settled:
            return settled[name]
        if name not in values and key in POOL_SIZES:
            # Without a pool its sizes were dropped; where one has to be put in, any size is as near as another.
            return self._options(name)[0]
        return self._value(name, values)

    def _put(self, fitted: Values, name: str, value: Choice) -> None:
        if name in self.dimensions:
            fitted[name] = value

    def _options(self, name: str) -> tuple[Choice, ...]:
        return self.all_dimensions[name].values or ()

    def _product(self, chosen: list[str]) -> Iterator[Values]:
        for values in product(*(self._options(name) for name in chosen)):
            yield dict(zip(chosen, values, strict=True))

    def _ways(self, chosen: Any) -> int:
        ways = 1
        for name in chosen:
            if name in self.dimensions and (values := self.dimensions[name].values) is not None:
                ways *= len(values)
        return ways

    def _geometries(self, count: int) -> int:
        """Return how many geometries there are for so many layers.

        A shared pool size matters only to networks that have a pool it decides. So networks are counted by the set of
        shared pool sizes that matter, each for the values of these alone.
        """
        side, total = (self.input.height, self.input.width), 0
        used = [name for name in self._shared if name in self._used(count)]
        sizes = [name for name in used if _key(name) in POOL_SIZES]
        needs = [{name for name in map(layer.get, POOL_SIZES) if name in sizes} for layer in self._layer_names[:count]]
        for matter in _subsets(sizes):
            open_names = [name for name in used if name not in sizes or name in matter]
            for chosen in self._product(open_names):
                fitting = self._fitting(tuple(chosen.get(name, self._options(name)[0]) for name in self._shared))
                for allowed in _subsets(matter):  # inclusion and exclusion: pools that need all of `matter`, not less
                    pooled = frozenset(i for i, need in enumerate(needs) if need <= set(allowed))
                    total += (-1) ** (len(matter) - len(allowed)) * fitting.count(0, side, count, pooled)
        return total

    def _used(self, count: int) -> list[str]:
        """Return the open dimensions that decide something in the first `count` layers, each once."""
        if count not in self._used_names:
            named = (name for layer in self._layer_names[:count] for name in layer.values())
            self._used_names[count] = [name for name in dict.fromkeys(named) if name in self.dimensions]
        return self._used_names[count]

    def _ways_of_head(self) -> int:
        ways = 0
        for hidden in self._options("head.hidden_layers"):
            ways += self._ways(
                name
                for name in self._rest
                if name.startswith("head.")
                and name != "head.hidden_layers"
                and self._means_something(name, int(hidden))
            )
        return ways

    @cached_property
    def _rest(self) -> list[str]:
        """The open dimensions of head, recipe and augmentation."""
        return [name for name in self.dimensions if name != "layers" and not _of_layers(name)]

    def _means_something(self, name: str, hidden: int) -> bool:
        if name.startswith("head.units"):
            return int(name.removeprefix("head.units")) <= hidden
        if name == "head.activation":
            return hidden > 0
        return name != COLOUR_ONLY or self.input.depth == 3

    def _shared_choices(self) -> Iterator[tuple[Choice, ...]]:
        return product(*(self._options(name) for name in self._shared))

    def _fitting(self, shared: tuple[Choice, ...]) -> Fitting:
        """Return the fitting of the layers, given the geometry that they share."""
        if shared not in self._fittings:
            chosen = dict(zip(self._shared, shared, strict=True))
            options = [
                [Options((chosen[n],) if n in chosen else self._options(n)) for n in map(layer.get, GEOMETRY)]  # type: ignore[arg-type]
                for layer in self._layer_names
            ]
            self._fittings[shared] = Fitting(options, self.definition.exact_fit)
        return self._fittings[shared]

    def _fitting_depth(self, wish: int, values: Mapping[str, Choice]) -> int:
        possible = [count for count in self._depths if count in self._buildable]
        return min(possible, key=lambda count: abs(count - wish))

    @cached_property
    def _buildable(self) -> frozenset[int]:
        """The numbers of layers for which at least one network fits."""
        side = (self.input.height, self.input.width)
        return frozenset(
            count
            for count in self._depths
            if any(self._fitting(shared).possible(0, side, count) for shared in self._shared_choices())
        )

    def _fitting_shared(self, count: int, values: Mapping[str, Choice]) -> tuple[Choice, ...]:
        """Return the shared geometry nearest to the wish for which `count` layers can be built."""
        side = (self.input.height, self.input.width)
        # Those without a meaning were dropped: pool sizes where nothing is pooled, keys that each layer has of its own.
        dropped = [
            name
            for name in self._shared
            if name not in values and (_key(name) in POOL_SIZES or name not in self._used(count))
        ]
        wish = tuple(
            self._options(name)[0] if name in dropped else self.dimensions[name].nearest(values[name])
            for name in self._shared
        )
        if self._fitting(wish).possible(0, side, count):
            return wish
        dimensions = [Options(self._options(name)) for name in self._shared]

        def distances(choice: tuple[Choice, ...]) -> tuple[float, ...]:
            return tuple(d.distance(a, b) for d, a, b in zip(dimensions, choice, wish, strict=True))

        possible = (c for c in self._shared_choices() if self._fitting(c).possible(0, side, count))
        return min(possible, key=distances)

    def _layer(self, i: int, merged: Mapping[str, Choice]) -> Layer:
        chosen = {key: merged.get(name) for key, name in self._layer_names[i].items()}
        if chosen["pooling"] == "none":
            chosen["pool_size"] = chosen["pool_stride"] = 0
        elif chosen["pool_stride"] == AS_POOL_SIZE:
            chosen["pool_stride"] = chosen["pool_size"]
        return Layer.model_validate(chosen)

    # ------------------------------------------------------------------ is there anything in it

    def _check(self) -> None:
        if not self._buildable:
            raise InputError(self._dead_end())
        limits = self.definition.limits.model_dump(exclude_none=True)
        if not limits:
            return
        random_source, smallest = random.Random(0), None
        for _ in range(PROBES):
            candidate = self.candidate(self._small(random_source))
            if self.excess(candidate) is None:
                return
            architecture = candidate.architecture
            if smallest is None or architecture.parameters < smallest.parameters:
                smallest = architecture
        assert smallest is not None
        raise InputError(
            f"no architecture keeps the limits {limits} on {self.input}: of {PROBES} small ones that were tried "
            f"the smallest, {smallest}, has {smallest.parameters:,} parameters, {smallest.macs:,} MACs and "
            f"{smallest.activation_bytes / 1e6:.3g} MB of activations; raise the limits, "
            "allow fewer filters, or make the images smaller"
        )

    def _small(self, random_source: random.Random) -> Values:
        """Return fitted values that lean to small networks: most numbers at their lower end."""
        values = {}
        for name, dimension in self.dimensions.items():
            values[name] = dimension.draw(random_source)
            small = name.endswith((".filters", ".one_by_one", "units1", "units2", "kernel_size", "hidden_layers"))
            if small and random_source.random() < 0.9:
                options = dimension.values or (values[name],)
                values[name] = min(options, key=float)
        return self.fit(values)

    def _dead_end(self) -> str:
        """Follow the gentlest geometries until no filter fits, and tell the volumes on the way."""
        count = self._depths[0]
        best: list[str] = []
        for shared in self._shared_choices():
            fitting, side, tale = self._fitting(shared), (self.input.height, self.input.width), []
            for i in range(count):
                after = fitting._after(i, side)
                if not after:
                    sizes = sorted({str(size) for size in fitting.options[i][0].values}, key=int)
                    exact = " without a remainder" if self.definition.exact_fit else ""
                    tale.append(
                        f"  layer {i + 1}: no filter of size {', '.join(sizes)} (with its pool) fits "
                        f"{side[0]}x{side[1]}{exact}"
                    )
                    break
                geometry, behind = max(after.items(), key=lambda item: item[1])
                tale.append(
                    f"  layer {i + 1}: {side[0]}x{side[1]} -> {behind[0]}x{behind[1]}"
                    f"   (K={geometry.kernel_size}, S={geometry.stride}, padding {geometry.padding}, "
                    f"pooling {geometry.pooling})"
                )
                side = behind
            best = max(best, tale, key=len)
        return (
            f"nothing in this space fits the input {self.input} with {count} layer{'s' if count > 1 else ''} or more:\n"
            + "\n".join(best)
            + "\nAllow smaller filters, padding, fewer layers or `pooling: none`."
        )


def _suggested(trial: Suggests, name: str, dimension: Dimension) -> Choice:
    if isinstance(dimension, Options):
        chosen: Choice = trial.suggest_categorical(name, dimension.values)
        return chosen
    if dimension.whole:
        step = int(dimension.step or 1)
        return trial.suggest_int(name, int(dimension.low), int(dimension.high), step=step, log=dimension.log)
    return trial.suggest_float(name, dimension.low, dimension.high, step=dimension.step, log=dimension.log)


def _key(name: str) -> str:
    return name.rpartition(".")[2]


def _subsets(names: Sequence[str]) -> Iterator[tuple[str, ...]]:
    for size in range(len(names) + 1):
        yield from combinations(names, size)


def _of_layers(name: str) -> bool:
    return name.startswith("layer") or name.startswith("all_layers.")
