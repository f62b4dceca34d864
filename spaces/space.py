"""SearchSpace: a flat, ordered list of named dimensions; values in, candidates out, valid by construction.

A space is a definition bound to the images' volume and a number of classes. Engines choose a value for each of
`space.dimensions` and know nothing of networks; `fit` replaces the values by the nearest that can be built; `candidate`
builds.
"""

import random
from collections.abc import Iterator, Mapping, Sequence
from functools import cached_property, lru_cache
from itertools import islice, product
from typing import Any, Protocol

from .architecture import Architecture, Candidate, Head, Layer, Recipe, totals_of_layers
from .arithmetic import Volume
from .definition import DEFAULTS, INPUT, LAYER_KEYS, Definition
from .definition import dimensions as named_dimensions
from .dimension import Choice, Dimension, Options
from .errors import InputError
from .fitting import AS_POOL_SIZE, GEOMETRY, POOL_SIZES, Fitting, Geometry, Side
from .geometries import Geometries
from .sizes import Size, size_of, sizes_in

Values = dict[str, Choice]
BATCH = "batch_size"
# Has no effect on images of one channel.
COLOUR_ONLY = "augmentation.greyscale"
VARIATIONS = 2000  # of one proposal at most
PROBES = 500  # random candidates that are tried before limits are declared impossible
MOST_LISTED = 1_000_000  # values of one dimension that is enumerated


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


class Memory(Protocol):
    """What a worker has for one training (`memory/limit.py`)."""

    def most_images(self, candidate: Candidate) -> int:
        """Return the largest batch with which a candidate's training fits."""

    def smaller_batch(self, candidate: Candidate) -> int:
        """Return a candidate's batch, or a smaller one that fits."""

    def excess(self, candidate: Candidate) -> str | None:
        """Return by how much a candidate's training exceeds the memory, or None where it fits."""


class SearchSpace:
    """All candidates that a definition allows on images of one volume, each at the size that it takes them at.

    `sizes` are these sizes, by their words in the dimension `input_size`; `input` has the largest height and width
    among them. `dimensions` holds what is open, by name and in order; `fixed` the value of everything else. Names are
    those of the field: `layers`, `layer1.kernel_size`, `all_layers.activation`, `head.units1`, `learning_rate`,
    `augmentation.rotation`.

    Where the `memory` of a worker is given, what does not fit into it is proposed with a smaller batch: the largest
    that is allowed and fits; or, where all that are allowed are too large, the least of them halved until it fits, to
    `memory.limit.LEAST_BATCH`. What still does not fit exceeds a limit like any other.

    Raises:
        InputError: nothing fits the input, or nothing that was tried stays within the limits.
    """

    def __init__(self, definition: Definition, input: Volume, classes: int, memory: Memory | None = None) -> None:
        self.definition = definition
        self.classes = classes
        self.memory = memory
        own = Size(*input[:2])
        sizes = sizes_in(definition.input_size, own)
        self.all_dimensions = {**dict(named_dimensions(definition)), INPUT: sizes}
        self.sizes = {str(word): size_of(word) or own for word in sizes.values}
        height, width = map(max, zip(*self.sizes.values(), strict=True))
        self.input = Volume(height, width, input[2])
        self.dimensions: dict[str, Dimension] = {
            name: dimension for name, dimension in self.all_dimensions.items() if not dimension.fixed
        }
        self.fixed: Values = {
            name: dimension.values[0]
            for name, dimension in self.all_dimensions.items()
            if isinstance(dimension, Options) and dimension.fixed
        }
        self.geometries = Geometries(definition, self.all_dimensions)
        self._check()

    # ------------------------------------------------------------------ values to candidates

    def fit(self, values: Mapping[str, Choice]) -> Values:
        """Return the nearest values that can be built on the input, without those that have no effect.

        Visits the layers in order; each value that does not fit the volume, or would leave no room for the remaining
        layers, is replaced by the nearest that does. Deterministic; what already fits stays as it is, so that
        fit(fit(v)) == fit(v).

        Raises:
            KeyError: a dimension that has an effect has no value.
            ValueError: a value that is not in its dimension's domain, such as an unknown activation.
        """
        fitted: Values = {}
        size = self._buildable_size(self._value(INPUT, values))
        self._put(fitted, INPUT, size)
        side: Side = self.sizes[size]
        geometries, wish = self.geometries, int(self._value("layers", values))
        count = min(geometries.buildable(side), key=lambda count: abs(count - wish))
        self._put(fitted, "layers", count)
        shared = geometries.nearest_shared(count, values, side)
        settled = dict(zip(geometries.shared, shared, strict=True))
        fitting = geometries.fitting(shared)
        for i, layer_names in enumerate(geometries.layers[:count]):
            wished = Geometry(*(self._wish(layer_names[key], key, values, settled) for key in GEOMETRY))  # type: ignore[arg-type]
            geometry, side = fitting.nearest(i, side, count - i, wished)
            for key, value in zip(GEOMETRY, geometry, strict=True):
                if geometry.pooling != "none" or key not in POOL_SIZES:
                    self._put(fitted, layer_names[key], value)
            for key in LAYER_KEYS:
                if key not in GEOMETRY and (name := layer_names[key]) in self.dimensions:
                    fitted[name] = self._value(name, values)
        hidden = int(self._value("head.hidden_layers", values))
        for name in self._rest:
            if self._has_effect(name, hidden):
                fitted[name] = self._value(name, values)
        if self.memory is not None and BATCH in fitted:
            fitted[BATCH] = self._batch_within(self.memory.most_images(self._candidate(fitted)), int(fitted[BATCH]))
        # In the order of the dimensions, whatever order they were settled in.
        return {name: fitted[name] for name in self.dimensions if name in fitted}

    def candidate(self, values: Mapping[str, Choice]) -> Candidate:
        """Build the candidate of fitted values."""
        candidate = self._candidate(values)
        if self.memory is None or (batch := self.memory.smaller_batch(candidate)) == candidate.recipe.batch_size:
            return candidate
        recipe = candidate.recipe.model_copy(update={BATCH: batch})
        return Candidate(architecture=candidate.architecture, recipe=recipe)

    def _candidate(self, values: Mapping[str, Choice]) -> Candidate:
        """Build the candidate of fitted values, with their batch whatever the memory."""
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
            if (name := f"augmentation.{key}") in merged and self._has_effect(name, hidden)
        }
        return Candidate(
            architecture=Architecture(input=self._volume(merged), layers=layers, head=head, classes=self.classes),
            recipe=Recipe.model_validate(recipe | {"augmentation": augmentation}),
        )

    def excess(self, candidate: Candidate) -> str | None:
        """Return which limit a candidate exceeds and by what, or None."""
        found = self._excess(candidate.architecture.input, *candidate.architecture.totals)
        if found is not None or self.memory is None:
            return found
        return self.memory.excess(candidate)

    def _excess(self, input: Volume, parameters: int, macs: int, activation_bytes: int) -> str | None:
        limits = self.definition.limits
        pixels = input.height * input.width
        found = (
            ("max_parameters", limits.max_parameters, parameters, "parameters"),
            ("max_macs", limits.max_macs, macs, "MACs"),
            ("max_macs_per_pixel", limits.max_macs_per_pixel, macs / pixels, "MACs for each pixel"),
            ("max_activation_mb", limits.max_activation_mb, activation_bytes / 1e6, "MB of activations"),
        )
        for key, limit, value, unit in found:
            if limit is not None and value > limit:
                return f"{value:,.6g} {unit} exceed {key}: {limit:,}"
        return None

    def draw(self, random_source: random.Random) -> Values:
        """Return fitted values of a random proposal; limits are ignored."""
        return self.fit({name: d.draw(random_source) for name, d in self.dimensions.items()})

    def perturb(self, values: Mapping[str, Choice], changes: int, random_source: random.Random) -> Values:
        """Return fitted values that differ from `values` in about `changes` freshly drawn dimensions."""
        full = {name: d.draw(random_source) for name, d in self.dimensions.items()}
        fresh = set(random_source.sample(list(full), min(changes, len(full))))
        kept = {name: value for name, value in values.items() if name in full and name not in fresh}
        return self.fit(full | kept)

    def variations(self, values: Mapping[str, Choice], random_source: random.Random) -> Iterator[Values]:
        """Yield fitted values ever further from `values`: from one changed dimension to all of them."""
        for attempt in range(VARIATIONS):
            yield self.perturb(values, 1 + attempt * len(self.dimensions) // VARIATIONS, random_source)

    def condition(self, name: str) -> tuple[str, int] | None:
        """Return the open dimension that decides whether `name` has an effect, and the least value it must have.

        The dimensions of layer n need n layers, those of hidden layer n need n hidden layers; None for others.
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
        """Return the candidate of an Optuna trial, for use in your own objective.

        Every open dimension that has an effect is suggested by its name; the suggested values are then replaced by the
        nearest that can be built within the limits.

        Args:
            trial: an `optuna.Trial`, or anything with the same `suggest_*` methods.
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
        """Return fitted values within the limits: these, or the first of their variations that stays within them.

        Raises:
            InputError: none was found.
        """
        if self.excess(self.candidate(fitted)) is None:
            return fitted
        for other in self.variations(fitted, random.Random(repr(sorted(fitted.items())))):
            if self.excess(self.candidate(other)) is None:
                return other
        raise InputError(f"none of {VARIATIONS} variations of a proposal is within the limits {self.definition.limits}")

    # ------------------------------------------------------------------ how large it is

    @property
    def continuous(self) -> list[str]:
        """The names of the dimensions with infinitely many values."""
        return [name for name, dimension in self.dimensions.items() if dimension.count is None]

    @cached_property
    def architectures(self) -> int:
        """How many architectures the space holds, limits aside; a continuous dimension counts as one value.

        Every setting counts, even where two are equivalent, as padding `valid` and 0 are.
        """
        geometries = self.geometries
        return self._ways_of_head() * sum(
            self._ways_beside_geometry(count) * geometries.ways(count, side)
            for count, side in product(geometries.depths, self.sizes.values())
        )

    @cached_property
    def recipes(self) -> int:
        """How many recipes the space holds; a continuous dimension counts as one value."""
        return self._ways(
            name for name in self._rest if not name.startswith("head.") and self._has_effect(name, hidden=0)
        )

    def require_enumerable(self) -> None:
        """Raise an InputError that names the dimensions with infinitely or far too many values, if there are any."""
        if self.continuous:
            raise InputError(
                f"the space cannot be enumerated: {', '.join(self.continuous)} "
                f"{'is a continuous range' if len(self.continuous) == 1 else 'are continuous ranges'}; "
                "give a list of options, a `step`, or one value (`--set NAME=VALUE`)"
            )
        for name, dimension in self.dimensions.items():
            if (dimension.count or 0) > MOST_LISTED:
                raise InputError(
                    f"the space cannot be enumerated: {name} has {dimension.count:,} values; give a larger `step`"
                )

    def holds_at_most(self, candidates: int) -> bool:
        """Whether there are so many candidates or fewer, limits aside; false for infinitely many.

        Soon answered for a space of any size, where `architectures * recipes` may take long to count.
        """
        if self.continuous:
            return False
        behind = self.recipes * self._ways_of_head()
        counts = {count for side in self.sizes.values() for count in self.geometries.buildable(side)}
        if any(self._ways_beside_geometry(count) * behind > candidates for count in counts):
            return False
        # Some come more than once, but not nearly so often; see `enumerate`.
        if next(islice(self._enumerate(within_limits=False), 10 * candidates, None), None) is not None:
            return False
        return self.architectures * self.recipes <= candidates

    def enumerate(self) -> Iterator[Values]:
        """Yield the fitted values of every candidate within the limits, each once; see `require_enumerable`."""
        return (values for values in self.enumerate_all() if values is not None)

    def enumerate_all(self) -> Iterator[Values | None]:
        """Yield what `enumerate` does, and None for each that is left out: a caller need not wait for the next.

        Layers that are beyond the limits already are left out once, whatever could follow them.
        """
        self.require_enumerable()
        seen = set()
        for values in self._enumerate(within_limits=True):
            found = None
            if values is not None:
                # Shared dimensions without an effect yield the same candidate more than once.
                fitted = self.fit(values)
                candidate = self.candidate(fitted)
                if candidate.hash not in seen:
                    seen.add(candidate.hash)
                    found = fitted if self.excess(candidate) is None else None
            yield found

    def _enumerate(self, within_limits: bool) -> Iterator[Values | None]:
        """Yield the values of every candidate; with `within_limits`, None for layers that are beyond them already."""
        geometries = self.geometries
        limited = within_limits and bool(self.definition.limits.model_dump(exclude_none=True))
        rest = [name for name in self._rest if self._has_effect(name, hidden=99)]
        free = [f"all_layers.{k}" for k in LAYER_KEYS if k not in GEOMETRY]
        free = [name for name in free if name in self.dimensions]
        for size, count, shared in product(self.sizes, geometries.depths, geometries.shared_choices()):
            side = self.sizes[size]
            if not geometries.possible(shared, count, side):
                continue
            start = {INPUT: size, "layers": count, **dict(zip(geometries.shared, shared, strict=True))}
            for common in self._product(free):
                begun = self.fixed | start | common if limited else None
                for layers in self._enumerate_layers(geometries.fitting(shared), count, 0, side, {}, begun):
                    if layers is None:
                        yield None
                        continue
                    for hidden in self._options("head.hidden_layers"):
                        named = [n for n in rest if self._has_effect(n, int(hidden))]
                        named = [n for n in named if n != "head.hidden_layers"]
                        for other in self._product(named):
                            yield start | common | layers | {"head.hidden_layers": hidden} | other

    def _enumerate_layers(
        self, fitting: Fitting, count: int, i: int, side: Side, before: Values, begun: Values | None
    ) -> Iterator[Values | None]:
        """Yield the values of layers 0 to `count` that begin with those `before` layer i, which is given `side`.

        With `begun`, all other values that the layers depend on, None for layers that are beyond the limits already.
        """
        if i == count:
            yield before
            return
        layer_names = self.geometries.layers[i]
        own = [
            name
            for key, name in layer_names.items()
            if key not in GEOMETRY and name in self.dimensions and not name.startswith("all_layers.")
        ]
        for geometry, after in fitting.fitting(i, side, count - i).items():
            chosen = {
                name: value
                for (key, value) in zip(GEOMETRY, geometry, strict=True)
                if (name := layer_names[key]) in self.dimensions and not name.startswith("all_layers.")
            }
            for other in self._product(own):
                layers = before | chosen | other
                if begun is not None and self._begins_too_large(i + 1, begun | layers):
                    yield None
                else:
                    yield from self._enumerate_layers(fitting, count, i + 1, after, layers, begun)

    def _begins_too_large(self, count: int, merged: Values) -> bool:
        """Whether the first `count` layers are beyond the limits, whatever follows: every layer adds to all totals."""
        input = self._volume(merged)
        totals = totals_of_layers(input, [self._layer(i, merged) for i in range(count)])
        return self._excess(input, *totals) is not None

    # ------------------------------------------------------------------ the parts of fit and count

    def _value(self, name: str, values: Mapping[str, Choice]) -> Choice:
        if name in self.fixed:
            return self.fixed[name]
        return self.dimensions[name].nearest(values[name])

    def _volume(self, values: Mapping[str, Choice]) -> Volume:
        return Volume(*self.sizes[str(values[INPUT])], self.input.depth)

    def _batch_within(self, most: int, wish: int) -> Choice:
        """Return the largest allowed batch up to the wish that has at most so many images; the least if none has."""
        dimension = self.dimensions[BATCH]
        return wish if wish <= most else dimension.at_most(most) or dimension.least

    def _buildable_size(self, wish: Choice) -> str:
        """Return the size nearest to the wish at which a network of this space can be built."""
        if self.geometries.buildable(self.sizes[str(wish)]):
            return str(wish)
        sizes = self.all_dimensions[INPUT]
        assert isinstance(sizes, Options)
        return min(
            (word for word, side in self.sizes.items() if self.geometries.buildable(side)),
            key=lambda word: sizes.distance(word, wish),
        )

    def _wish(self, name: str, key: str, values: Mapping[str, Choice], settled: Values) -> Choice:
        if name in settled:
            return settled[name]
        if name not in values and key in POOL_SIZES:
            # Without a pool its sizes were dropped; where one has to be inserted, any size is as near as another.
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
            if name in self.dimensions and (count := self.dimensions[name].count) is not None:
                ways *= count
        return ways

    def _ways_beside_geometry(self, count: int) -> int:
        """Return how many ways so many layers have for each of their geometries."""
        return self._ways(name for name in self.geometries.used(count) if name.rpartition(".")[2] not in GEOMETRY)

    def _ways_of_head(self) -> int:
        ways = 0
        for hidden in self._options("head.hidden_layers"):
            ways += self._ways(
                name
                for name in self._rest
                if name.startswith("head.") and name != "head.hidden_layers" and self._has_effect(name, int(hidden))
            )
        return ways

    @cached_property
    def _rest(self) -> list[str]:
        """The open dimensions of head, recipe and augmentation."""
        return [name for name in self.dimensions if name not in (INPUT, "layers") and not _of_layers(name)]

    def _has_effect(self, name: str, hidden: int) -> bool:
        if name.startswith("head.units"):
            return int(name.removeprefix("head.units")) <= hidden
        if name == "head.activation":
            return hidden > 0
        return name != COLOUR_ONLY or self.input.depth == 3

    def _layer(self, i: int, merged: Mapping[str, Choice]) -> Layer:
        chosen = {key: merged.get(name) for key, name in self.geometries.layers[i].items()}
        if chosen["pooling"] == "none":
            chosen["pool_size"] = chosen["pool_stride"] = 0
        elif chosen["pool_stride"] == AS_POOL_SIZE:
            chosen["pool_stride"] = chosen["pool_size"]
        return _shared_layer(**chosen)

    # ------------------------------------------------------------------ is it empty

    def _check(self) -> None:
        if not any(map(self.geometries.buildable, self.sizes.values())):
            raise InputError(self.geometries.dead_end(self.input))
        limits = self.definition.limits.model_dump(exclude_none=True)
        if not limits and self.memory is None:
            return
        random_source, smallest, excess = random.Random(0), None, ""
        for _ in range(PROBES):
            candidate = self.candidate(self._small(random_source))
            exceeds = self.excess(candidate)
            if exceeds is None:
                return
            architecture = candidate.architecture
            if smallest is None or architecture.parameters < smallest.parameters:
                smallest, excess = architecture, exceeds
        assert smallest is not None
        within = f"the limits {limits}" if limits else "the memory of a worker"
        raise InputError(
            f"no architecture stays within {within} for {self.input}: of {PROBES} small ones tried, "
            f"the smallest, {smallest}, has {smallest.parameters:,} parameters, {smallest.macs:,} MACs and "
            f"{smallest.activation_bytes / 1e6:.3g} MB of activations ({excess}); raise the limits, "
            "allow fewer filters, or make the images smaller"
        )

    def _small(self, random_source: random.Random) -> Values:
        """Return fitted values biased towards small networks: most numbers at their lower end."""
        values = {}
        for name, dimension in self.dimensions.items():
            values[name] = dimension.draw(random_source)
            small = name.endswith((".filters", ".one_by_one", "units1", "units2", "kernel_size", "hidden_layers"))
            if small and random_source.random() < 0.9:
                options = dimension.values or (values[name],)
                values[name] = min(options, key=float)
        return self.fit(values)


@lru_cache(maxsize=10_000, typed=True)
def _shared_layer(**chosen: Any) -> Layer:
    """Return a layer; equal ones are shared, because a study holds thousands of networks."""
    return Layer.model_validate(chosen)


def _suggested(trial: Suggests, name: str, dimension: Dimension) -> Choice:
    if isinstance(dimension, Options):
        chosen: Choice = trial.suggest_categorical(name, dimension.values)
        return chosen
    if dimension.whole:
        step = int(dimension.step or 1)
        return trial.suggest_int(name, int(dimension.low), int(dimension.high), step=step, log=dimension.log)
    return trial.suggest_float(name, dimension.low, dimension.high, step=dimension.step, log=dimension.log)


def _of_layers(name: str) -> bool:
    return name.startswith("layer") or name.startswith("all_layers.")
