"""Estimators of any model: a function builds it for the data's features and outputs."""

import dataclasses
import inspect
from collections.abc import Callable
from typing import Any

from jaxdict import _check
from jaxdict._cache import constructor
from jaxdict.estimators._network import Network
from jaxdict.estimators._targets import Labels, Numbers
from jaxdict.layers import Model
from jaxdict.models import as_model
from jaxdict.runner import intern


@constructor
def _built(build: Callable[..., Any], features: int, outputs: int, names: Any, values: Any) -> Model:
    """The same Model for equal arguments, so that it is compiled once."""
    return as_model(build(features, outputs, **dict(zip(names, values, strict=True))))


class Built(Network):
    """A model that ``build(features, outputs, **options)`` gives; the options are parameters like the others."""

    def __init__(self, build: Callable[..., Any], **hyperparameters: Any):
        self.build = build
        defaults = self._own() | _options(build, self._own())
        for name in hyperparameters:
            if name not in defaults:
                raise TypeError(
                    f"neither {type(self).__name__} nor {_name(build)} has a parameter {name!r}; "
                    f"{_check.did_you_mean(name, defaults)}"
                )
        values = defaults | hyperparameters
        missing = [name for name, value in values.items() if value is inspect.Parameter.empty]
        if missing:
            raise TypeError(f"{_name(build)} needs {', '.join(missing)}: give it to {type(self).__name__} by name")
        for name, value in values.items():
            setattr(self, name, value)

    def get_params(self, deep: bool = True) -> dict[str, Any]:
        """The parameters: ``build``, those of training, and the options of ``build`` with their defaults.

        Args:
          deep: as in scikit-learn; nothing here has parameters of its own.

        Returns:
          Values by name.

        Raises:
          TypeError: ``build`` has an option that is called like a parameter of training.
        """
        del deep
        names = ["build", *self._own(), *_options(self.build, self._own())]
        return {name: getattr(self, name) for name in names}

    def set_params(self, **params: Any) -> Any:
        """Change parameters by name. Another ``build`` keeps the options that it has too.

        Args:
          **params: values by name.

        Returns:
          The estimator.

        Raises:
          ValueError: a name that neither the estimator nor ``build`` has.
        """
        if "build" in params:
            build = params["build"]
            known = {**self._own(), **_options(build, self._own())}
            kept = {name: value for name, value in self.get_params().items() if name in known}
            unknown = [name for name in params if name != "build" and name not in known]
            if unknown:
                raise ValueError(
                    f"{_name(build)} has no option {unknown[0]!r}; {_check.did_you_mean(unknown[0], known)}"
                )
            Built.__init__(self, build, **kept | {name: v for name, v in params.items() if name != "build"})
            return self
        return super().set_params(**params)

    def _own(self) -> dict[str, Any]:
        """The parameters of training and their defaults."""
        return {field.name: field.default for field in dataclasses.fields(self)}

    def _predictor(self, features: int, outputs: int) -> Model:
        options = {name: getattr(self, name) for name in _options(self.build, self._own())}
        return _built(intern(self.build), features, outputs, tuple(options), tuple(options.values()))


def _options(build: Callable[..., Any], own: dict[str, Any]) -> dict[str, Any]:
    """The options that ``build`` has after features and outputs, with their defaults."""
    if not callable(build):
        raise TypeError(f"build must be a function of features and outputs that gives a model; got {build!r}")
    parameters = list(inspect.signature(build).parameters.values())
    several = [p for p in parameters if p.kind in (p.VAR_KEYWORD, p.VAR_POSITIONAL)]
    if len(parameters) < 2 or several:
        raise TypeError(f"{_name(build)} must take features and outputs, and each option by name; got {parameters}")
    options = {parameter.name: parameter.default for parameter in parameters[2:]}
    for name in options:
        if name in own or name == "build":
            raise TypeError(
                f"{_name(build)} has an option {name!r}, which is a parameter of training; call it otherwise"
            )
    return options


def _name(build: Any) -> str:
    return getattr(build, "__name__", None) or repr(build)


@dataclasses.dataclass(init=False, eq=False, repr=False)
class Classifier(Labels, Built):
    """Classifier of any model that gives a logit for each class.

    Args:
      build: ``(features, outputs, **options) -> Model``, from ``(n, features)`` to ``(n, outputs)``, ``outputs`` being
        the number of classes. Estimators of one function and equal options share a compiled program.
      **hyperparameters: the options of ``build`` by name, and the parameters of training that ``MLPClassifier`` has
        (all but ``hidden_layer_sizes``, ``activation`` and ``dropout``). ``get_params``, ``set_params``, ``clone`` and
        searches see them all; the options of ``build`` that are not given have its defaults. ``alpha`` acts on every
        parameter of two and more axes.

    Attributes:
      the same as those of ``MLPClassifier``, without ``coefs_`` and ``intercepts_``.

    Raises:
      TypeError: a name that neither has, an option without a value, or one that is called like another parameter.
    """


@dataclasses.dataclass(init=False, eq=False, repr=False)
class Regressor(Numbers, Built):
    """Regressor of any model that gives a number for each column of targets.

    Args:
      build: ``(features, outputs, **options) -> Model``, as in ``Classifier``; ``outputs`` is the number of columns.
      **hyperparameters: the options of ``build`` by name, and the parameters of training that ``MLPRegressor`` has.

    Attributes:
      the same as those of ``MLPRegressor``, without ``coefs_`` and ``intercepts_``.

    Raises:
      TypeError: as in ``Classifier``.
    """
