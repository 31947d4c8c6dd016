#!/usr/bin/env bash
# A second CPU driver for the tests: lavapipe of trixie-backports, which has VK_KHR_cooperative_matrix (Debian 12's and 13's own
# do not), with the validation layer. All in a folder of its own, the system stays as it is.
# Usage: lavapipe.sh DIR (absolute; the folder must stay where it is). Then `. DIR/env.sh` selects it.
set -euo pipefail
here=$(cd "$(dirname "$0")" && pwd)
. "$here/private-debs.sh"

dir=${1:?usage: lavapipe.sh DIR}
case $dir in /*) ;; *) echo "lavapipe.sh: $dir is not an absolute path" >&2; exit 2 ;; esac
node=$(readlink -f "$(command -v node)")
stamp=$({ echo "$dir $node $(node --version)"; cat "$here/lavapipe.sh" "$here/private-debs.sh"; } | sha256sum | cut -d ' ' -f 1)
if [ "$(cat "$dir/.bootstrap" 2>/dev/null)" = "$stamp" ]; then exit 0; fi
if [ "$(. /etc/os-release && echo "$ID")" != debian ]; then
  echo 'lavapipe.sh: the tests with cooperative matrices need Debian 12 or 13 (its backports have the driver)' >&2
  exit 2
fi

# The driver needs glibc 2.41: an older system lends its node a newer C library.
own_glibc=no
dpkg --compare-versions "$(dpkg-query -W -f '${Version}' libc6)" ge 2.41 || own_glibc=yes
suites=(trixie trixie-backports)
[ $own_glibc = no ] || suites+=(bookworm)

echo "set-up: fetching lavapipe and the validation layer of trixie-backports (about 100 MB)"
rm -rf "$dir"
trap 'rm -rf "$dir/apt"' EXIT
private_apt "$dir/apt" "${suites[@]}"
# What the packages' scripts would need is not needed to load the driver.
mapfile -t packages < <(private_closure mesa-vulkan-drivers/trixie-backports libvulkan1 vulkan-validationlayers libatomic1 libstdc++6 |
  grep -Ev '^(lib)?python3|^(debconf|dpkg|tar|perl-base|media-types|netbase|tzdata|ca-certificates|openssl|readline-common|sensible-utils|install-info)=')
# Where the system's C library will do it must also be the one in use: two of them in one process do not mix.
[ $own_glibc = yes ] || mapfile -t packages < <(printf '%s\n' "${packages[@]}" | grep -Ev '^(libc6|libc-bin|libgcc-s1|libstdc\+\+6|gcc-14-base)=')
# patchelf 0.14.3 (bookworm) on purpose: trixie's 0.18.0 writes a node that segfaults.
[ $own_glibc = no ] || packages+=(patchelf/bookworm)
private_unpack "$dir/apt" "$dir/root" "${packages[@]}"

lib=$(echo "$dir"/root/usr/lib/*-linux-gnu)
find "$lib" -maxdepth 1 -name 'libvulkan_*.so' ! -name libvulkan_lvp.so -delete
rm -rf "$dir"/root/usr/share/{doc,man,locale,bug,lintian}
mkdir "$dir/bin"
if [ $own_glibc = yes ]; then
  # A copy of node whose ELF interpreter and library path point here. DT_RPATH, not RUNPATH, so that it also holds for what the
  # addon, the Vulkan loader and the driver load; both options in one call, or patchelf damages the file. Starting node through
  # the loader instead would make process.execPath the loader and break child_process.fork.
  loader=$(echo "$lib"/ld-linux*.so.*)
  cp "$node" "$dir/bin/node"
  "$loader" --library-path "$lib" "$dir/root/usr/bin/patchelf" --set-interpreter "$loader" --force-rpath --set-rpath "$lib" "$dir/bin/node"
  library_path=
else
  ln -s "$node" "$dir/bin/node"
  library_path="export LD_LIBRARY_PATH=$lib"
fi
cat >"$dir/lvp_icd.json" <<EOF
{ "file_format_version": "1.0.0", "ICD": { "library_path": "$lib/libvulkan_lvp.so", "api_version": "1.4.0" } }
EOF
# LP_NATIVE_VECTOR_WIDTH: at 128 or 512 every shader with cooperative matrices segfaults, though the driver lists them.
# Implicit layers of the system (overlays, device selection) are built for another C library, and no business of a test.
cat >"$dir/env.sh" <<EOF
# source me: selects this lavapipe, and a node that can load it
export PATH=$dir/bin:\$PATH
export VK_DRIVER_FILES=$dir/lvp_icd.json VK_LOADER_LAYERS_DISABLE='~implicit~' LP_NATIVE_VECTOR_WIDTH=256
# for validation, further: VK_INSTANCE_LAYERS=VK_LAYER_KHRONOS_validation
export VK_LAYER_PATH=$dir/root/usr/share/vulkan/explicit_layer.d
$library_path
EOF
"$dir/bin/node" -e 'process.exit(0)' || { echo "lavapipe.sh: the node made for it does not start" >&2; exit 1; }
echo "$stamp" >"$dir/.bootstrap"
