"""One-line mistakes put into a copy of the mathematics; the tests must catch every one: `python tests/mutations.py`.

    python tests/mutations.py            # all of them
    python tests/mutations.py jet.py     # those in files whose path ends so

Each mistake replaces one place in one file by another text. The tests named beside it then run against the copy. It is
caught if one of them fails. The same tests run without a mistake first, and must pass.
"""

from __future__ import annotations

import contextlib
import importlib
import io
import multiprocessing
import os
import shutil
import signal
import sys
import tempfile
import time
from collections.abc import Iterator
from multiprocessing.pool import ThreadPool
from pathlib import Path
from typing import NamedTuple

TESTS = Path(__file__).parent
SOURCE = TESTS.parent / "src"
# What all tests import, but for the package itself: once, for all the processes that are forked from here.
PRELOADED = (
    "hydra",
    "matplotlib.figure",
    "numba",
    "optuna",
    "PIL.Image",
    "pytest",
    "pytorch_lightning",
    "scipy.sparse.linalg",
    "skimage.data",
    "skimage.metrics",
    "tifffile",
    "torchmetrics.functional.image",
)
SECONDS = 300  # that the tests of one mistake may take; one that lets them run for longer is caught

JET = ["core/test_jet.py", "activations/test_activation_laws.py"]
FIELD = ["fields/test_mlp.py", "fields/test_stack.py"]
LAYER = ["kernels/test_layer.py"]
NETWORK = ["kernels/test_network.py"]
LOSSES = ["losses/test_loss_laws.py"]
DATA = ["training/test_data.py"]
SPLITTING = ["training/test_microbatches.py"]
SCORES = ["evaluation/test_metrics.py"]

# By file: the text that is replaced, what takes its place, and the tests that must notice.
MISTAKES: dict[str, list[tuple[str, str, list[str]]]] = {
    "core/jet.py": [
        ("x.new_zeros(sums, 1, d)", "x.new_ones(sums, 1, d)", JET),
        ("return jet.of([affine(jet.value, weight, bias), *derivatives])",
         "return jet.of([affine(jet.value, weight), *derivatives])", JET),
        ("(derivatives[0].unsqueeze(-3) * partials)", "(derivatives[-1].unsqueeze(-3) * partials)", JET),
        ("derivatives[1].unsqueeze(-3) * squares", "derivatives[0].unsqueeze(-3) * squares", JET),
        ("+ derivatives[1].unsqueeze(-3) * squares", "- derivatives[1].unsqueeze(-3) * squares", JET),
        ("sums(partials.square(), jet.operators)", "sums(partials, jet.operators)", JET),
        ("sums(partials.square(), jet.operators)", "sums(partials.square(), None)", JET),
        ("return rows.sum(-3, keepdim=True)", "return rows.mean(-3, keepdim=True)", JET),
        ('"md,...dnc->...mnc"', '"md,...dnc->...mcn"', JET),
        ("channels = (-1, -2, -2)", "channels = (-1, -2, -1)", JET),
        ("_partials(p, x)[:, d]", "_partials(p, x)[:, 0]", JET),
        ("movedim(0, -1), operators)", "movedim(0, -1), None)", JET),
        ("h.to(dtype), weight.to(dtype)).to(h.dtype)", "h.to(dtype), weight.to(dtype))", JET),
        ("return jets[0].of([torch.cat(parts) for", "return jets[0].of([torch.cat(parts[::-1]) for", JET),
    ],
    "fields/mlp.py": [
        ("[width] * (depth + 1)", "[width] * depth", FIELD),
        ("self.is_first(i))\n        activation.initialize_head", "False)\n        activation.initialize_head",
         ["activations/test_activation_laws.py"]),
        ("jet = self.activation.layer(jet, layer.weight, layer.bias, self.is_first(i))",
         "jet = self.activation.layer(jet, layer.weight, layer.bias, False)", FIELD),
        ("first and self.is_first(0)", "first", FIELD),
        ("return i == 0 and not self.encoding.has_second_derivative", "return i == 0", FIELD),
        ("return 2 if self.encoding.has_second_derivative else self.activation.max_order",
         "return self.activation.max_order", FIELD),
        ('"...cnf,...nfd->...ncd", gradient', '"...cnf,...nfd->...ncd", -gradient', FIELD),
        ("_encoded(x, 1)\n", "_encoded(x.flip(-1), 1)\n", FIELD),
        ("operators), self.head.weight, self.head.bias)", "operators), self.head.weight)", FIELD),
        ("coordinates(x, order, operators)))", "coordinates(x, order)))", FIELD),
        ("return value.reshape(*self.stack, *x.shape[:-1], value.shape[-1])",
         "return value.reshape(*x.shape[:-1], value.shape[-1])", FIELD),
    ],
    "kernels/layer.py": [
        ("slope = w * angle.cos() if order", "slope = angle.cos() if order", [*LAYER, *JET]),
        ("-(w * w) * value)[: order + 1] if order > 1", "(w * w) * value)[: order + 1] if order > 1", [*LAYER, *JET]),
        ("by_weight = product(by_z.mT, h)", "by_weight = 2 * product(by_z.mT, h)", LAYER),
        ("by_weight += product(", "by_weight -= product(", LAYER),
        ("for part, want in zip((by_z, *rest), wanted", "for part, want in zip((by_z, *rest[::-1]), wanted", LAYER),
        ("*inputs, by_weight, by_z.sum(-2)", "*inputs, by_weight, by_z.mean(-2)", LAYER),
        ("ctx.needs_input_grad[2:5]", "ctx.needs_input_grad[1:4]", LAYER),
        ("backend(h).jet_backward(saved, by, ctx.operators, ctx.w)", "backend(h).jet_backward(saved, by, None, ctx.w)",
         LAYER),
    ],
    "kernels/network.py": [
        ("extras.append((by * gradients[i]).sum(-3).mul_(bends[i]))",
         "extras.append((by * gradients[i]).sum(-3).mul_(slopes[i]))", NETWORK),
        ("by = by.mul_(slopes[i].unsqueeze(-3))", "by = by.mul_(bends[i].unsqueeze(-3))", NETWORK),
        ("found[2 * i] += by_weight", "found[2 * i] = by_weight", NETWORK),
        ("by_weights.append(by.sum(-2))", "by_weights.append(-by.sum(-2))", NETWORK),
        ("product(by_value, maps[i + 1][0]).mul_(slopes[i])", "product(by_value, maps[i + 1][0])", NETWORK),
        ("by_value.add_(extras[i])", "by_value.sub_(extras[i])", NETWORK),
        ("1 + reverse, i == 0)", "1 + reverse, True)", NETWORK),
        ("int(reverse), i == 0)", "int(reverse), False)", [*NETWORK, *FIELD]),
    ],
    "kernels/operations.py": [
        ("return angle.sin(), angle.cos_().mul_(w)", "return angle.sin(), angle.cos_()", LAYER),
        ("value=-w * w)\n    return sine, cosine, cosine", "value=w * w)\n    return sine, cosine, cosine", LAYER),
        ("value=-2 * w * w)", "value=-w * w)", LAYER),
        ("sums(by_second, operators.mT)", "sums(by_second, operators)", LAYER),
        ("against += (by_second * sz).sum(-3)", "against -= (by_second * sz).sum(-3)", LAYER),
        ("by_dz.sum_to_size(dz.shape)", "by_dz[..., : dz.shape[-2], :]", LAYER),
    ],
    "kernels/compiled.py": [
        ("out[j] -= factor * s[j] * row[j] * row[j]", "out[j] -= factor * s[j] * row[j]", LAYER),
        ("by[j] -= twice * s[j] * both", "by[j] -= square * s[j] * both", LAYER),
        ("out[j] -= square * s[j] * y[j] * lap[j]", "out[j] += square * s[j] * y[j] * lap[j]", LAYER),
        ("if quarter & 2 else x)", "if quarter & 1 else x)", LAYER),
        ("1.9515295891e-4", "1.9515295891e-3", LAYER),
        ("1.0, 2.0**13,", "1.0, 2.0**33,", LAYER),
    ],
    "losses/base.py": [
        ("value / mean_squares[name]", "value * mean_squares[name]", SPLITTING),
        ("known, x).square().sum(-1)", "known, x).square().mean(-1)", LOSSES),
        ("return max(term.order for term", "return min(term.order for term", LOSSES),
        ("together.setdefault(id(term.operators), {})", "together.setdefault(0, {})", LOSSES),
        ("and term.group == 1:", "and True:", LOSSES),
        ("[max(members.values(), key", "[min(members.values(), key", LOSSES),
        ("mean_squares(self.order).parts[-1]", "mean_squares(self.order).parts[0]", LOSSES),
        ("key=lambda term: isinstance(term, Constraint)", "key=lambda term: not isinstance(term, Constraint)", LOSSES),
        ("return max(self.terms.values(), key", "return min(self.terms.values(), key", LOSSES),
        ("term.order if term.sees is None else term.sees", "term.order", LOSSES),
    ],
    "losses/value.py": [
        ("field.value - known.value", "field.value + known.value", LOSSES),
    ],
    "losses/gradient.py": [
        ("field.gradient - known.gradient", "field.gradient + known.gradient", LOSSES),
        ("known.gradient).flatten(-2)", "known.gradient).sum(-1)", LOSSES),
        ("error.flatten(0, -2).mean(dim=0).expand_as", "error.mean(dim=0).expand_as", LOSSES),
    ],
    "losses/laplacian.py": [
        ("field.second - known.second", "field.second + known.second", LOSSES),
        ("2 - 2 * angle.cos()", "2 - angle.cos()", LOSSES),
        ("for shift in shifts]", "for shift in shifts[1:]]", LOSSES),
    ],
    "losses/constraints.py": [
        ("numbers = [torch.arange(n, device=device)[part]", "numbers = [torch.arange(n, device=device)[:4]", LOSSES),
        (".unflatten(-2, (self.pictures, -1)).mean(-2)", "", LOSSES),
        ("error[tuple(n // 2 for n", "error[tuple(0 for n", LOSSES),
        ("n // 2 % stride, n, stride)", "0, n, stride)", LOSSES),
        ("while math.prod(-(-n // stride) for n in shape) > self.count:",
         "while math.prod(n // stride for n in shape) > self.count:", LOSSES),
        ("return signal.border(self.count, generator)", "return signal.uniform(self.count, generator)", LOSSES),
    ],
    "losses/weak.py": [
        (" / math.sqrt(2)", "", LOSSES),
        ("error[..., 1:, :].mean(-2) - error[..., 0, :]", "error.mean(-2) - error[..., 0, :]", LOSSES),
        ("((2 * unit - 1) * box)", "(unit * box)", LOSSES),
        ("return least * (most / least) ** unit", "return least + (most - least) * unit", LOSSES),
        ("angle = 2 * math.pi *", "angle = math.pi *", LOSSES),
        ("[angle.cos(), angle.sin()]", "[angle.cos(), 0.5 * angle.sin()]", LOSSES),
        ("(n * math.pi / 2).cosh()", "(n * math.pi).cosh()", LOSSES),
        ("n = torch.arange(1, 12, 2", "n = torch.arange(1, 2, 2", LOSSES),
        ("x[::2] = near.scatter", "x[::2] = 0 * near.scatter", LOSSES),
        ("reach.minimum(signal.distance_to_border(x, 1.0 if solid else self.farthest))", "reach", LOSSES),
        ("farthest = math.sqrt(2)", "farthest = 1.0", ["signals/test_merge.py::TestWeakForms"]),
        ("torch.where((x + step).abs() > box, -step, step)", "step", LOSSES),
    ],
    "training/data.py": [
        ("self._draw(n * step + k)", "self._draw(step + k)", [*DATA, "training/test_clipping.py"]),
        ("samples._replace(share=samples.share / n)", "samples", [*DATA, "training/test_clipping.py"]),
        ("self.seed, step, number)", "self.seed, step)", DATA),
        ("self.seed, step, number)", "self.seed, number)", DATA),
        ("self.seed, number), device", "number), device", DATA),
        ("step % per_pass * batch", "step % per_pass", DATA),
        ("per_pass = count // batch", "per_pass = count // batch + 1", DATA),
        ("if self._pass[0] != number:", "if self._pass[0] < 0:", DATA),
        ("[trainer.global_rank :: processes]", "[:: processes]", DATA),
        ("return own, len(own) / len(points)", "return own, 1 / processes", DATA),
        ("return points, 1 / processes", "return points, 1.0", DATA),
        ("start // self.data.eval_every + 1)", "start // self.data.eval_every)", DATA),
        ("step % self.eval_every == 0 or step >= self.max_steps", "step % self.eval_every == 0",
         DATA),
        ("known.map(lambda t: t[which])", "known.map(lambda t: t[: len(which)])", DATA),
        ("torch.randint(count, (batch,)", "torch.randint(count - 1, (batch,)", DATA),
    ],
    "training/microbatches.py": [
        ("samples.share * len(x) / n", "samples.share * size / n", SPLITTING),
        ("samples.share * len(x) / n", "len(x) / n", SPLITTING),
        ("// together) * together", "// together)", SPLITTING),
        ("-(-n // least)", "n // least", SPLITTING),
        ("rows = slice(start, start + size)", "rows = slice(start, start + size - 1)", SPLITTING),
        ("microbatch.share * weights", "weights", SPLITTING),
        ("weights[name][which] * term(", "term(", SPLITTING),
        ("term(found, known, x).mean(-1)", "term(found, known, x).sum(-1)", SPLITTING),
        ("gradient if parameter.grad is None else parameter.grad.add_(gradient)", "gradient", SPLITTING),
        ("self._map(work, jobs), strict=True", "self._map(work, jobs[::-1]), strict=True",
         [*SPLITTING, "fields/test_stack.py"]),
        ("[which] += value.detach()", "[which] = value.detach()", SPLITTING),
        (".movedim(1, 0)[which])", ".movedim(1, 0)[which] * 1.01)", [*SPLITTING, "fields/test_stack.py"]),
        ("slice(start, start + together)", "slice(start, start + together - 1)", [*SPLITTING, "fields/test_stack.py"]),
        ("for group in loss.groups] * (len(batch)", "for group in loss.groups[::-1]] * (len(batch)", SPLITTING),
    ],
    "evaluation/base.py": [
        ("return one < other if self", "return one > other if self", ["evaluation/test_evaluation_laws.py"]),
        (" / len(values)", "", ["../src/sinefield/evaluation/base.py"]),
    ],
    "evaluation/metrics.py": [
        ("DATA_RANGE = 2.0", "DATA_RANGE = 1.0", SCORES),
        ("fitted = raw - free", "fitted = raw + free", SCORES),
        ("off[::upsampling, ::upsampling] = False", "off[1::upsampling, ::upsampling] = False", SCORES),
        ("(prediction - smooth[0].permute(1, 2, 0))[off]", "prediction[off]", SCORES),
        ("align_corners=True", "align_corners=False", SCORES),
        ('"psnr_raw": _psnr(raw, samples)', '"psnr_raw": _psnr(fitted, samples)', SCORES),
        ('"ssim": _ssim(fitted, samples)', '"ssim": _ssim(raw, samples)', SCORES),
        ("edge = _SSIM_WINDOW // 2", "edge = 1", SCORES),
        ("if min(truth.shape[:2]) < _SSIM_WINDOW", "if min(truth.shape[:2]) <= _SSIM_WINDOW", SCORES),
    ],
}  # fmt: skip


class Mistake(NamedTuple):
    """One place in a file that is replaced; nothing where `old` is empty."""

    file: str
    old: str
    new: str
    tests: tuple[str, ...]


def mistakes(ending: str = "") -> Iterator[Mistake]:
    """All of them in files whose path ends so."""
    for file, places in MISTAKES.items():
        if file.endswith(ending):
            yield from (Mistake(file, old, new, tuple(tests)) for old, new, tests in places)


def run(mistake: Mistake) -> tuple[Mistake, str, float]:
    """The tests of a mistake against a copy of the source that has it.

    Returns:
        The mistake; "caught", "survived", or what else there is to say; and the seconds it took.
    """
    import pytest

    started, output = time.monotonic(), io.StringIO()
    with tempfile.TemporaryDirectory(prefix="mutation") as place:
        source = shutil.copytree(SOURCE, Path(place, "src"))  # with the machine code that numba keeps
        if mistake.old:
            file = source / "sinefield" / mistake.file
            text = file.read_text()
            if text.count(mistake.old) != 1:
                return mistake, f"stale: its text is in the file {text.count(mistake.old)} times", 0.0
            file.write_text(text.replace(mistake.old, mistake.new))
        sys.path[:0] = [str(source)]
        os.environ["PYTHONPATH"] = os.pathsep.join(filter(None, [str(source), os.environ.get("PYTHONPATH", "")]))
        paths = [str(source / path[7:]) if path.startswith("../src/") else str(TESTS / path) for path in mistake.tests]
        options = ["-x", "-q", "-p", "no:cacheprovider", "-c", str(TESTS.parent / "pyproject.toml")]
        options += ["--rootdir", str(TESTS.parent), "--basetemp", f"{place}/tmp"]
        options += ["-W", "ignore::pytest.PytestAssertRewriteWarning"]  # Hydra, which is here already, is a plugin too
        signal.alarm(SECONDS if mistake.old else 0)
        with contextlib.redirect_stdout(output), contextlib.redirect_stderr(output):
            status = pytest.main([*options, *paths])
        signal.alarm(0)
        import sinefield

        assert Path(sinefield.__file__).is_relative_to(source), f"the tests ran against {sinefield.__file__}"
    seconds = time.monotonic() - started
    if status == pytest.ExitCode.OK:
        return mistake, "survived", seconds
    if status in (pytest.ExitCode.TESTS_FAILED, pytest.ExitCode.INTERRUPTED) and mistake.old:
        return mistake, "caught", seconds
    return mistake, f"no verdict: {output.getvalue()[-3000:]}", seconds


def isolated(mistake: Mistake) -> tuple[Mistake, str, float]:
    """`run` in a process of its own, which may have children: some tests start processes."""
    context = multiprocessing.get_context("fork")
    receiver, sender = context.Pipe(duplex=False)
    process = context.Process(target=lambda: sender.send(run(mistake)))
    process.start()
    sender.close()
    try:
        return receiver.recv()
    except EOFError:
        return mistake, "no verdict: its process died", 0.0
    finally:
        process.join()


def _late(*_: object) -> None:
    raise TimeoutError(f"more than {SECONDS} s")


def main(ending: str = "") -> int:
    """Run all; 1 where one survived, or where its place in the source is no longer there."""
    for name in PRELOADED:
        importlib.import_module(name)
    signal.signal(signal.SIGALRM, _late)
    chosen = list(mistakes(ending))
    tests = tuple(dict.fromkeys(test for mistake in chosen for test in mistake.tests))
    processes = len(os.sched_getaffinity(0))
    bad = []
    with ThreadPool(processes) as pool:
        _, sound, seconds = isolated(Mistake("", "", "", tests))
        print(f"without a mistake: {sound.replace('survived', 'passed')} in {seconds:.0f} s", flush=True)
        if sound != "survived":
            return 1
        for mistake, outcome, seconds in pool.imap(isolated, chosen):
            print(f"{outcome:9} {seconds:4.0f} s  {mistake.file}: {mistake.old!r} -> {mistake.new!r}", flush=True)
            bad += [mistake] if outcome != "caught" else []
    print(f"{len(chosen) - len(bad)} of {len(chosen)} mistakes caught")
    return int(bool(bad))


if __name__ == "__main__":
    sys.exit(main(*sys.argv[1:]))
