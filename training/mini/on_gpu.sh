#!/usr/bin/env bash
# Trains one of the small pair on a machine with a GPU and evaluates it there, within a deadline.
#
#   bash training/mini/on_gpu.sh MODEL OUT [DEADLINE_S] [options of training.mini.train ...]
#
# MODEL is mathstral, codestral, or both (at once; each on a card of its own where there are two). Results: OUT/MODEL/model (the hub's layout, bf16),
# losses.json, quality.json, log.txt. START=EARLIER goes on from EARLIER/MODEL/model. A checkpoint is written every minute, so a run that is cut off leaves one.
set -u
model=$1 out=$2 deadline=${3:-570}
shift $(( $# < 3 ? $# : 3 ))
export PYTHONPATH="$PWD${PYTHONPATH:+:$PYTHONPATH}" TRANSFORMERS_VERBOSITY=error HF_HUB_OFFLINE=1
export PYTHONUNBUFFERED=1 OMP_NUM_THREADS=1 TOKENIZERS_PARALLELISM=false
cores=$(getconf _NPROCESSORS_ONLN)  # nproc would count OMP_NUM_THREADS
last_card=$(python3 -c "import torch; print(max(0, torch.cuda.device_count() - 1))")
begun=$SECONDS

python3 - <<'PY' || exit 1
import importlib
for name in ("numpy", "torch", "transformers", "safetensors", "sentencepiece", "pydantic"):
    print(name, getattr(importlib.import_module(name), "__version__", ""))
import torch
print(torch.cuda.get_device_name(0) if torch.cuda.is_available() else "no CUDA")
PY

train() {  # model, workers, options
  local name=$1 workers=$2
  shift 2
  mkdir -p "$out/$name"
  python3 -W ignore -m training.mini.train --model "$name" --minutes 60 --deadline-s $(( deadline - (SECONDS - begun) )) \
    --workers "$workers" --out "$out/$name" ${START:+--start "$START/$name/model"} "$@" 2>&1 | tee "$out/$name/log.txt"
  return "${PIPESTATUS[0]}"
}

if [ "$model" = both ]; then
  CUDA_VISIBLE_DEVICES=0 train mathstral $(( cores / 2 - 1 )) "$@" & first=$!
  CUDA_VISIBLE_DEVICES=$last_card train codestral $(( cores / 2 - 1 )) "$@" & second=$!
  wait $first; one=$?
  wait $second; two=$?
  exit $(( one > two ? one : two ))
fi
train "$model" $(( cores > 3 ? cores - 2 : 1 )) "$@"
