"""The image sets of `keras.datasets`, through Keras's own `load_data()`, which keeps them in `~/.keras`."""

import re
import sys
from collections.abc import Callable
from contextlib import redirect_stdout
from dataclasses import replace
from typing import Any

from numpy.typing import NDArray

from ...spaces.errors import WorkError
from ..data.source import Source
from .arrays import InMemory, Part, array_source, memory_fingerprint

_CIFAR = "www.cs.toronto.edu"
_GOOGLE = "storage.googleapis.com"
_HOSTS = {"mnist": _GOOGLE, "fashion_mnist": _GOOGLE, "cifar10": _CIFAR, "cifar100": _CIFAR}

KERAS_DATASETS = tuple(f"keras:{name}" for name in _HOSTS)
"""The specs of all of them."""

_NAMES = {
    "fashion_mnist": "T-shirt/top,Trouser,Pullover,Dress,Coat,Sandal,Shirt,Sneaker,Bag,Ankle boot",
    "cifar10": "airplane,automobile,bird,cat,deer,dog,frog,horse,ship,truck",
    "cifar100": (
        "apple,aquarium_fish,baby,bear,beaver,bed,bee,beetle,bicycle,bottle,bowl,boy,bridge,"
        "bus,butterfly,camel,can,castle,caterpillar,cattle,chair,chimpanzee,clock,cloud,"
        "cockroach,couch,crab,crocodile,cup,dinosaur,dolphin,elephant,flatfish,forest,fox,girl,"
        "hamster,house,kangaroo,keyboard,lamp,lawn_mower,leopard,lion,lizard,lobster,man,"
        "maple_tree,motorcycle,mountain,mouse,mushroom,oak_tree,orange,orchid,otter,palm_tree,"
        "pear,pickup_truck,pine_tree,plain,plate,poppy,porcupine,possum,rabbit,raccoon,ray,road,"
        "rocket,rose,sea,seal,shark,shrew,skunk,skyscraper,snail,snake,spider,squirrel,"
        "streetcar,sunflower,sweet_pepper,table,tank,telephone,television,tiger,tractor,train,"
        "trout,tulip,turtle,wardrobe,whale,willow_tree,wolf,woman,worm"
    ),
}
"""The class names in the order of their labels, where they are more than digits."""


def read_keras(spec: str) -> Source:
    """Return one of `KERAS_DATASETS`, downloading it where Keras does not have it yet.

    Its test images are fixed; its training images are still to be split. Raises WorkError where it is neither in
    the cache nor downloadable.
    """
    name = spec.removeprefix("keras:")
    (x_train, y_train), (x_test, y_test) = _load(name)
    parts = [
        Part("train", InMemory("x_train", x_train), InMemory("y_train", y_train)),
        Part("test", InMemory("x_test", x_test), InMemory("y_test", y_test)),
    ]
    source = array_source(name, spec, memory_fingerprint(parts), parts)
    if name not in _NAMES:
        return source
    names = _NAMES[name].split(",")
    return replace(source, classes=tuple(names[int(value)] for value in source.classes))


def _load(name: str) -> tuple[tuple[NDArray[Any], NDArray[Any]], tuple[NDArray[Any], NDArray[Any]]]:
    import keras  # takes seconds, so only when needed

    load_data: Callable[[], Any] = getattr(keras.datasets, name).load_data
    try:
        with redirect_stdout(sys.stderr):  # Keras prints its progress where --json promises nothing but JSON
            (x_train, y_train), (x_test, y_test) = load_data()
    except Exception as error:  # Keras raises plain Exception for a failed download
        address = re.search(r"https?://([^/\s]+)/\S+", str(error))
        host = address.group(1) if address else _HOSTS[name]
        reason = str(error).rsplit(" -- ", 1)[-1]
        raise WorkError(
            f"keras:{name} is not in Keras's folder of data sets and could not be downloaded from {host}: "
            f"{reason}. Is that host reachable from here, perhaps through a proxy (https_proxy)? Or copy "
            "~/.keras/datasets from a machine that has it, or give --data a folder or an .npz file."
        ) from error
    if keras.config.image_data_format() == "channels_first" and x_train.ndim == 4:
        x_train, x_test = x_train.transpose(0, 2, 3, 1), x_test.transpose(0, 2, 3, 1)
    return (x_train, y_train), (x_test, y_test)
