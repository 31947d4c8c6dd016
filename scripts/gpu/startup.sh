#!/bin/bash
# scripts/gpu/startup.sh: process start to the first training frame, cold and with warm caches, beside bare device creation; from the root folder, after npm run build.
# NODE names another node. About 25 s on a GPU.
N=$(command -v "${NODE:-node}"); T=$(mktemp -d); R=$PWD
trap 'rm -rf "$T"' EXIT
cat > "$T/bare.cjs" <<'J'
// The addon loaded without its trial, an instance, the first device opened.
const { createRequire } = require('module');
const of = createRequire(process.cwd() + '/package.json');
const begin = performance.now();
const addon = of(of('node-gyp-build').path(process.cwd()));
const device = addon.openDevice(addon.listDevices()[0].index);
const end = performance.now();
console.log(`bare: ${(end - begin).toFixed(0)} ms, since the process began ${end.toFixed(0)} ms`);
addon.closeDevice(device);
J
wall() { local s; s=$(date +%s%N); "$@" || echo "   exit code $?"; echo "   whole process $((($(date +%s%N) - s) / 1000000)) ms"; }
for _ in 1 2 3; do wall "$N" "$T/bare.cjs"; done
for preset in classic wide; do
  export XDG_CACHE_HOME=$T/cache-$preset __GL_SHADER_DISK_CACHE_PATH=$T/gl-$preset # NVIDIA's own cache is cold as well
  mkdir -p "$__GL_SHADER_DISK_CACHE_PATH"
  for run in cold warm warm warm; do
    echo "$preset $run"
    (cd "$T" && wall "$N" "$R/bin/vkpn" cli -g "$R/examples/demo.cfg" --last-frame-only -d perf --config frames:1 "param:kpn-t:01:preset:$preset" 2>&1 | grep "start-up\|whole\|exit code")
  done
done
