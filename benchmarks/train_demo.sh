#!/usr/bin/env bash
# Train the bundled demo model and its parser from nothing (e4s_engine/models/README.md says how good they are).
#
#   benchmarks/train_demo.sh FOLDER            as bundled: hours on two cores that multiply bf16
#   benchmarks/train_demo.sh FOLDER --tiny     the same stages on networks of a few channels, for some steps each:
#                                              a minute, to check that everything runs
#   PRECISION=fp32 benchmarks/train_demo.sh FOLDER      for processors without bf16
#
# Every stage is a folder in FOLDER. Run the script again after an interruption: finished stages are skipped and the
# one under way continues. The results are FOLDER/demo.safetensors and FOLDER/demo.parser.safetensors.

set -euo pipefail
trap 'exit 130' INT TERM  # `e4s train` saves its state and exits with 0

if [[ $# -lt 1 || $# -gt 2 || $1 == -* || ${2:---tiny} != --tiny ]]; then
  echo "usage: ${0##*/} FOLDER [--tiny]" >&2
  exit 2
fi
folder=$1
precision=${PRECISION:-bf16}
count=2048
size=256
rgi_small=()
parser_small=()
grow=()
parser_grow=()
light=()
stop=258
if [[ ${2:-} == --tiny ]]; then
  # Channels are at least 16: PyTorch 2.13 corrupts memory in the gradients of a parser's convolutions of 8 on CPUs.
  count=8
  size=32
  stop=2
  grow=(--set 'growth=[[0,8],[1,16],[2,32]]')
  parser_grow=(--set 'growth=[[0,32],[2,64]]')
  light=(--set model.relight=16)
  few=(--set pool.start=8 --set pool.count=8 --set schedule.batch=2 --set schedule.steps=3)
  rgi_small=("${few[@]}" --set model.size=32 --set 'model.channels=[16,16,16,16]' --set model.latents=8
    --set model.injected=8 --set model.latent_dim=16 --set model.mlp_hidden=16 --set model.stem=16
    --set 'model.stages=[[16,1],[16,1],[16,1],[16,1]]' --set model.encoder_size=32)
  parser_small=("${few[@]}" --set 'model.widths=[16,16,16,16,16]' --set model.context=16 --set model.fusion=16
    --set side=64)
fi

e4s() { "${PYTHON:-python}" -m e4s_engine.cli "$@"; }

# stage NAME KIND ARGUMENTS...: one training run, unless it is finished
stage() {
  local name=$1 kind=$2 resume=() small=()
  shift 2
  if [[ -e $folder/$name/finished ]]; then
    echo "$name: finished before"
    return
  fi
  if [[ $kind == rgi ]]; then small=("${rgi_small[@]}"); else small=("${parser_small[@]}"); fi
  if [[ -e $folder/$name/checkpoint.pt ]]; then resume=(--resume); fi
  echo "$name:"
  e4s train "$kind" -o "$folder/$name" --cache "$folder/faces" --precision "$precision" \
    "$@" ${small[@]+"${small[@]}"} ${resume[@]+"${resume[@]}"}
  touch "$folder/$name/finished"
}

# weights NAME: the weights that a finished stage wrote
weights() { echo "$folder/$1/model.safetensors"; }

# 1. Render the training swaps and their exact answers.
e4s train faces --cache "$folder/faces" --count "$count" --size "$size"

# 2 to 4. The parser: from nothing with Adam and small pictures first, then twice more with Muon.
stage parser parser --recipe parser-demo-cpu ${parser_grow[@]+"${parser_grow[@]}"}
stage parser2 parser --recipe parser-demo-cpu-more --init "$(weights parser)"
stage parser3 parser --recipe parser-demo-cpu-more --init "$(weights parser2)" \
  --set schedule.steps=2000 --set schedule.muon=0.004 --set seed=2

# 5 to 7. The model: from nothing, small pictures first; at the full size; with more weight on structure.
stage rgi rgi --recipe demo-cpu --set model.relight=0 ${grow[@]+"${grow[@]}"}
stage more rgi --recipe demo-cpu-more --set model.relight=0 --init "$(weights rgi)"
stage last rgi --recipe demo-cpu-more --set model.relight=0 --init "$(weights more)" --set schedule.steps=500 \
  --set schedule.rate=0.0012 --set schedule.muon=0.0025 --set schedule.decay_from=50 --set structure=0.4 --set seed=2

# 8. On labels as the parser finds them.
labels=(--labels-by "$(weights parser3)")
stage found rgi --recipe demo-cpu-more --set model.relight=0 --init "$(weights last)" "${labels[@]}" \
  --set schedule.steps=1300 --set schedule.rate=0.0012 --set schedule.muon=0.0025 --set schedule.decay_from=100 \
  --set structure=0.5 --set seed=3

# 9 and 10. With relighting layers: a run that was stopped early, and the one that followed it.
relit=(--recipe demo-cpu-more ${light[@]+"${light[@]}"} "${labels[@]}" --set schedule.muon=0.003
  --set schedule.decay_from=100 --set structure=0.8)
stage lit0 rgi "${relit[@]}" --init "$(weights found)" --set schedule.steps=1300 --set seed=4 --until "$stop"
stage lit rgi "${relit[@]}" --init "$(weights lit0)" --set schedule.steps=1050 --set seed=5

cp "$(weights lit)" "$folder/demo.safetensors"
cp "$(weights parser3)" "$folder/demo.parser.safetensors"
echo "$folder/demo.safetensors: done; judge it with: python -m benchmarks.quality --weights $folder/demo.safetensors"
