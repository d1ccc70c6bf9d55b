"""From Hydra's sweep grammar to what Optuna draws from.

The same words that sweep a grid (`a=1,2`, `b=range(1,4)`) and Hydra's own for intervals (`interval(0.1,0.9)`,
`int(interval(1,8))`, `tag(log,interval(1e-5,1e-2))`) say what may vary: nothing new to learn.
"""

from collections.abc import Iterable

from hydra.core.override_parser.overrides_parser import OverridesParser
from hydra.core.override_parser.types import Glob, IntervalSweep, Override
from hydra.errors import HydraException
from optuna.distributions import BaseDistribution, CategoricalDistribution, FloatDistribution, IntDistribution

from generatect.errors import InputError


def split_overrides(arguments: Iterable[str]) -> tuple[list[str], dict[str, BaseDistribution]]:
    """Parts the settings that stay from those that vary.

    Args:
        arguments: overrides as on a command line.

    Returns:
        The fixed overrides, and the distribution of each other key.

    Raises:
        InputError: an override that cannot be read, or an interval that cannot be drawn from.
    """
    fixed, space = [], {}
    for argument in arguments:
        try:
            override = OverridesParser.create().parse_override(argument)
        except HydraException as error:
            raise InputError(f"{argument}: cannot be read as key=value ({str(error).splitlines()[0]})") from error
        if isinstance(override.value(), Glob):
            raise InputError(f"{argument}: a search finds no choices by a pattern; name each, KEY=A,B")
        if override.is_sweep_override():
            space[override.get_key_element()] = _distribution(override)
        else:
            fixed.append(argument)
    return fixed, space


def as_override(key: str, value: object) -> str:
    """A drawn value as on a command line; of a number, four digits are as good as sixteen and can be read."""
    return f"{key}={value:.4g}" if isinstance(value, float) else f"{key}={value}"


def example(distribution: BaseDistribution) -> object:
    """Some value of a distribution."""
    if isinstance(distribution, CategoricalDistribution):
        return distribution.choices[0]
    assert isinstance(distribution, IntDistribution | FloatDistribution)
    return distribution.low


def _distribution(override: Override) -> BaseDistribution:
    value = override.value()
    try:
        if isinstance(value, IntervalSweep):
            is_log = "log" in value.tags
            if isinstance(value.start, int) and isinstance(value.end, int):
                return IntDistribution(value.start, value.end, log=is_log)
            assert value.start is not None
            assert value.end is not None
            return FloatDistribution(float(value.start), float(value.end), log=is_log)
        values = list(override.sweep_iterator())
        numbers = [number for number in values if isinstance(number, int) and not isinstance(number, bool)]
        if override.is_range_sweep() and numbers and len(numbers) == len(values):
            step = numbers[1] - numbers[0] if len(numbers) > 1 else 1
            return IntDistribution(min(numbers), max(numbers), step=abs(step))
        return CategoricalDistribution(list(override.sweep_string_iterator()))
    except ValueError as error:
        raise InputError(
            f"{override.input_line}: cannot be drawn from ({str(error).splitlines()[0]}); expected an interval that "
            "begins below its end, and above 0 where it is logarithmic"
        ) from error
