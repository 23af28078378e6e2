"""Search for bad input by coverage: `python tests/fuzz/guided.py knob -runs=10000`.

The properties are those of test_fuzz.py; atheris (`pip install -e '.[dev,fuzz]'`) mutates what Hypothesis draws from
and keeps what reaches new lines of sinefield and Pillow. What it finds is printed, with the bytes, and ends it.
"""

import logging
import sys
import warnings
from pathlib import Path


def main(name: str) -> None:
    """Search for ever, or as long as atheris' own options say."""
    import atheris

    sys.path.insert(0, str(Path(__file__).parents[1]))
    with atheris.instrument_imports(include=["sinefield", "PIL"]):
        import sinefield.runs.train
        import sinefield.signals.decoding.pixels  # noqa: F401
    from hypothesis import HealthCheck, settings
    from properties import TARGETS, seen

    warnings.simplefilter("ignore")
    logging.disable(logging.CRITICAL)
    wanted = {target.__name__: target for target in TARGETS}[name]
    bounds = settings(deadline=None, database=None, suppress_health_check=list(HealthCheck))
    bounds(wanted)

    def look(content: bytes) -> None:
        """Try one input, and tell now and then how many ended how."""
        before = sum(seen.values()) // 1000
        wanted.hypothesis.fuzz_one_input(content)
        if sum(seen.values()) // 1000 > before:
            print(dict(sorted(seen.items())))

    atheris.Setup([*sys.argv, "-max_len=4096", "-len_control=0"], look)
    atheris.Fuzz()


if __name__ == "__main__":
    main(sys.argv.pop(1))
