#!/bin/bash
# scripts/gpu/linear.sh: the tables "Cost against size" of docs/performance.md: time against pixels over four decades, and against layers and width; from the root folder, after
# npm run build. NODE names another node. About 90 s on an H100. The pipelines of the last table are compiled before, side by side.
N=$(command -v "${NODE:-node}"); T=$(mktemp -d)
trap 'rm -rf "$T"' EXIT
bench() { "$N" bin/vkpn bench --paths khr "$@"; }
rows() { grep -v "^$\|yardstick\|^paths\|^copy\|^vector\|^matrix"; }
size() { bench --workload infer,train --batch 262144 --widths "$1" --layers "$2" "${@:3}"; }
echo "== infer and train against pixels"
bench --workload infer,train --widths 32,64 --layers 6 --batch 1024,10240,102400,1024000 --seconds 0.02
# Longer for what the host compares for seconds: meanwhile the clock goes down, and it takes half a second to come up.
bench --workload infer,train --widths 32 --layers 6 --batch 10240000 --seconds 0.3 | rows
echo "== pictures"
bench --workload picture --presets classic --size 60x40,190x126,600x400,1900x1264,6000x4000 --seconds 0.3 | rows
echo "== whole steps of so many tiles, frames/s"
for preset in classic wide; do
  for tiles in 1 4 16 64 192; do
    frames=$((200000 / (tiles + 4)))
    echo "$preset, $tiles tiles: $("$N" bin/vkpn cli -g examples/demo.cfg --last-frame-only --checkpoint 0 --config param:i-jpg:ref:hold:300000 "frames:$frames" "param:kpn-t:01:preset:$preset" param:kpn-t:01:context:star "param:cnngenin:01:batch:$tiles" "param:o-lut:w:filename:$T/w" 2>&1 | grep "frames/s")"
  done
done
echo "== against layers and width, 262,144 pixels"
for layers in 1 2 3 4 6 8; do for width in 32,64 128; do size $width $layers --seconds 0.001 > /dev/null 2>&1 & done; done
wait
size 32,64,128 1,2,3,4,6,8 --seconds 0.02 | rows
