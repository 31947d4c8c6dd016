#!/bin/bash
# scripts/gpu/kit.sh ARCHIVE.tar.xz: what the tests and `vkpn` need on a machine with a GPU driver and no network, beside a checkout with dist/ and build/Release/: node, the
# loaders, node_modules without what only builds. There, in the root folder of the checkout:
#   mkdir -p /tmp/kit && tar xJf ARCHIVE.tar.xz -C /tmp/kit && ln -s /tmp/kit/node_modules node_modules
#   export LD_LIBRARY_PATH=/tmp/kit/lib/vulkan:/tmp/kit/lib/egl PATH=/tmp/kit/lib:$PATH
#   node bin/vkpn devices; node node_modules/jest/bin/jest.js test/kernels
set -e
archive=$(realpath "$1"); T=$(mktemp -d)
trap 'rm -rf "$T"' EXIT
cd "$(dirname "$0")/../.."
node scripts/bundle.mjs --folder-only
cp -r bundle/*/lib "$T/lib"
cp -rL node_modules "$T/node_modules"
cd "$T/node_modules"
rm -rf typescript esbuild @esbuild eslint @eslint @eslint-community @typescript-eslint typescript-eslint cmake-js @types glslang-validator .cache .bin esquery ajv
find . \( -name '*.map' -o -name '*.d.ts' -o -name '*.d.mts' -o -name '*.d.cts' -o -name '*.md' -o -name '*.flow' \) -delete
cd "$T"
tar c lib node_modules | xz -7 -T2 > "$archive"
ls -la "$archive"
