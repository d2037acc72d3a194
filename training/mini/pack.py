"""Packs a trained network for shipping: `python -m training.mini.pack RUN/model ensemble/mini_models/mini-mathstral`.

What comes out is described in `ensemble.packed`. Whoever ships other weights raises `MINI_EDITION`.
"""

from __future__ import annotations

import json
import shutil
import sys
from pathlib import Path

from safetensors.torch import load_file

from ensemble.models import CONFIG_FILE
from ensemble.packed import PACKED_FILE, WEIGHTS_FILE, pack

_COPIED = ("generation_config.json", "tokenizer.model.v3")


def main() -> None:
    source, out = Path(sys.argv[1]), Path(sys.argv[2])
    out.mkdir(parents=True, exist_ok=True)
    pack({name: value.float().numpy() for name, value in load_file(source / WEIGHTS_FILE).items()}, out)
    config = {**json.loads((source / CONFIG_FILE).read_text(encoding="utf-8")), "dtype": "float32"}
    (out / CONFIG_FILE).write_text(json.dumps(config, indent=2, sort_keys=True) + "\n", encoding="utf-8")
    for name in _COPIED:
        shutil.copyfile(source / name, out / name)
    for file in out.iterdir():
        file.chmod(0o644)
    print(f"{out}: {(out / PACKED_FILE).stat().st_size / 1e6:.1f} MB")


if __name__ == "__main__":
    main()
