"""Print the parameters of every variant beside Table 1: ``python -m sosd_ros.network``."""

from __future__ import annotations

import argparse

import torch

from . import VARIANTS, SOSDNet, Variant

BACKBONES = (
    "xception65",
    "legacy_xception",
    "tf_efficientnet_lite0",
    "tf_efficientnet_lite2",
    "mobilenetv4_conv_small",
)
TABLE_1 = {"semantic": 23.4, "depth": 23.4, "mtl": 23.6, "sosd": 24.0, "esosd": 24.0}
CITYSCAPES_CLASSES = 19


def parameters(variant: Variant, backbone: str) -> int:
    """Learned parameters of a variant on a backbone, for the 19 classes of Cityscapes."""
    with torch.device("meta"):  # shapes alone
        network = SOSDNet(variant, backbone, CITYSCAPES_CLASSES)
    return sum(parameter.numel() for parameter in network.parameters())


def main() -> None:
    parser = argparse.ArgumentParser(prog="python -m sosd_ros.network", description=__doc__)
    parser.add_argument("backbones", nargs="*", default=BACKBONES, help="timm backbones by name")
    backbones = parser.parse_args().backbones

    print("Parameters in millions, 19 classes\n")
    print(f"{'backbone':<24}" + "".join(f"{variant:>10}" for variant in VARIANTS))
    print(f"{'Table 1 of the paper':<24}" + "".join(f"{TABLE_1[v]:>10.1f}" for v in VARIANTS))
    for backbone in backbones:
        counts = (parameters(variant, backbone) / 1e6 for variant in VARIANTS)
        print(f"{backbone:<24}" + "".join(f"{count:>10.1f}" for count in counts))


if __name__ == "__main__":
    main()
