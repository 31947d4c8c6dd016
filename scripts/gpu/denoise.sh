#!/bin/bash
# scripts/gpu/denoise.sh: how long `vkpn denoise` takes for a noisy JPEG of 24 megapixels (cold, then warm), for eight of them, and for 100 megapixels in 512 MB against all
# at once; from the root folder, after npm run build. NODE names another node. About a minute on a GPU with 16 cores.
set -e
N=$(command -v "${NODE:-node}"); T=$(mktemp -d)
trap 'rm -rf "$T"' EXIT
cat > "$T/make.cjs" <<'J'
// node make.cjs OUT W H: a photograph enlarged, noise added
const { createRequire } = require('module');
const sharp = createRequire(process.cwd() + '/package.json')('sharp');
(async () => {
  const [out, width, height] = process.argv.slice(2);
  const { data } = await sharp('examples/photos/test_0000.jpg').resize(+width, +height, { fit: 'fill' }).raw().toBuffer({ resolveWithObject: true });
  let state = 1;
  const random = () => ((state = (Math.imul(state, 1664525) + 1013904223) | 0) >>> 8) / 16777216;
  const noise = Float32Array.from({ length: 1 << 16 }, () => 5 * Math.sqrt(-2 * Math.log(1 - random())) * Math.cos(2 * Math.PI * random()));
  for (let i = 0; i < data.length; i++) data[i] = Math.min(255, Math.max(0, Math.round(data[i] + noise[(random() * 65536) | 0])));
  await sharp(data, { raw: { width: +width, height: +height, channels: 3 }, limitInputPixels: false }).jpeg({ quality: 92 }).toFile(out);
})();
J
"$N" "$T/make.cjs" "$T/a.jpg" 6000 4000
mkdir "$T/in"
for n in a b c d e f g h; do cp "$T/a.jpg" "$T/in/$n.jpg"; done
for run in cold warm warm warm; do echo "== one JPEG, $run"; time "$N" bin/vkpn denoise "$T/a.jpg" -o "$T/one.jpg" --force -d perf,mem; done
echo "== tiff16"; time "$N" bin/vkpn denoise "$T/a.jpg" -o "$T/one.tif" --force -d perf
echo "== eight"; time "$N" bin/vkpn denoise "$T/in" -o "$T/eight" --force -d perf
"$N" "$T/make.cjs" "$T/big.jpg" 12000 8400
echo "== 100 megapixels, 512 MB"; time "$N" bin/vkpn denoise "$T/big.jpg" -o "$T/tiles.jpg" --force --memory 512M -d perf,mem
echo "== 100 megapixels, whole"; time "$N" bin/vkpn denoise "$T/big.jpg" -o "$T/whole.jpg" --force -d perf,mem
cmp "$T/tiles.jpg" "$T/whole.jpg" && echo "the same file"
