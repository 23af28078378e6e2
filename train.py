"""Fit one signal: `python train.py loss=laplacian signal.path=cat.jpg`; every knob is in conf/."""

from pathlib import Path

import hydra
from hydra.core.hydra_config import HydraConfig
from omegaconf import DictConfig


@hydra.main(config_path="conf", config_name="train", version_base="1.3")
def main(config: DictConfig) -> float:
    """Train with the composed configuration, in the folder Hydra made for it."""
    from sinefield.run import main as run  # noqa: PLC0415  --help and typos need no torch

    return run(config, Path(HydraConfig.get().runtime.output_dir))


if __name__ == "__main__":
    main()
