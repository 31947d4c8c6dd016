#!/usr/bin/env bash
# What validation, logs and checkpoints cost a training: the demo's graph, FRAMES frames (default 250001), without and with all of them, in turn,
# three times; frames a second of each. In the repository's root, after npm run build (works offline).   scripts/validation-cost.sh [FRAMES]
set -euo pipefail
root=$(cd "$(dirname "$0")/.." && pwd)
frames=${1-250001}
work=$(mktemp -d)
trap 'rm -rf "$work"' EXIT
cd "$work"
run() { # NAME OPTIONS...
  local name=$1
  shift
  "$root/bin/vkpn" cli -g "$root/examples/demo.cfg" --last-frame-only "$@" --config "frames:$frames" 2>"$name.log" || { cat "$name.log" >&2; exit 1; }
  printf '%-10s %s\n' "$name" "$(grep -o '([0-9.]* frames/s)' "$name.log" | tail -1) $(grep -o 'best after.*' "$name.log" || true)"
}
for _ in 1 2 3; do
  run without --checkpoint 0
  mv weights.lut without.lut
  run with --validate "$root"/examples/photos/test_*.jpg --log run.csv --tensorboard tb
  cmp weights.lut without.lut # validation changes no bit
done
echo "validations: $(awk -F, 'NR > 1 && $7 != ""' run.csv | wc -l), rows of the log: $(($(wc -l <run.csv) - 1))"
