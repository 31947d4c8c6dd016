#!/usr/bin/env bash
# Set-up before anything of npm's exists: system packages, npm packages, and .deps/ with the Vulkan headers and the GLSL
# compiler that Debian 12 does not have. Usage: bootstrap.sh [--test]   (--test: also what only the tests need)
# Does only what is missing, a line a step; with nothing to do it takes a fraction of a second and says nothing.
set -euo pipefail
cd "$(dirname "$0")/.."
. scripts/private-debs.sh

test_too=no
case ${1-} in
  '') ;;
  --test) test_too=yes ;;
  *) echo "usage: $0 [--test]" >&2; exit 2 ;;
esac

say() { echo "set-up: $*"; }
give_up() { printf '%s\n' "$@" >&2; exit 2; }

# --- Node ------------------------------------------------------------------------------------------------------------
command -v node >/dev/null || give_up 'Node.js is missing: install version 20.11 or newer, with npm.'
node -e 'const [a, b] = process.versions.node.split("."); process.exit(a > 20 || (a == 20 && b >= 11) ? 0 : 1)' ||
  give_up "Node.js $(node --version) is too old: version 20.11 or newer is needed."

# --- system packages -------------------------------------------------------------------------------------------------
has() { command -v "$1" >/dev/null; }

# A Vulkan device other than the CPU: a manifest of a driver, and a device node that one could drive.
has_gpu() {
  [ -n "${VK_DRIVER_FILES-}${VK_ICD_FILENAMES-}" ] && return 0
  compgen -G '/dev/dri/renderD*' >/dev/null || [ -e /dev/nvidiactl ] || return 1
  local file
  for file in /usr/share/vulkan/icd.d/*.json /etc/vulkan/icd.d/*.json; do
    case $file in *'*'* | */lvp_icd*) ;; *) return 0 ;; esac
  done
  return 1
}
has_lavapipe() { compgen -G '/usr/share/vulkan/icd.d/lvp_icd*.json' >/dev/null; }

missing=()
has g++ || missing+=(g++)
has cmake || missing+=(cmake)
has make || has ninja || missing+=(make)
has xz || missing+=(xz-utils)
[ -n "$(compgen -G '/usr/lib/*/libvulkan.so.1')$(compgen -G '/usr/lib*/libvulkan.so.1')" ] || missing+=(libvulkan1)
if [ $test_too = yes ]; then
  has_lavapipe || missing+=(mesa-vulkan-drivers)
  has dot || missing+=(graphviz)
  has clang-format || missing+=(clang-format)
  has clang-tidy || missing+=(clang-tidy)
elif ! has_gpu && ! has_lavapipe; then
  missing+=(mesa-vulkan-drivers)
fi

if [ ${#missing[@]} -gt 0 ]; then
  line="apt-get install --no-install-recommends ${missing[*]}"
  has apt-get || give_up "These packages (by their Debian names) are missing; install them, then run this again: ${missing[*]}"
  if [ "$(id -u)" = 0 ]; then as_root=(); elif has sudo && sudo -n true 2>/dev/null; then as_root=(sudo)
  elif has sudo && [ -t 0 ] && say "sudo, to install: ${missing[*]}" && sudo true; then as_root=(sudo)
  else give_up 'Some system packages are missing, and installing them takes root. Have this run, then try again:' "  $line"; fi
  say "installing system packages: ${missing[*]}"
  install=("${as_root[@]}" env DEBIAN_FRONTEND=noninteractive $line -y -o Acquire::Retries=3 -o DPkg::Lock::Timeout=300)
  # A machine without package lists, or with old ones, fails first.
  log=$("${install[@]}" 2>&1 </dev/null) || {
    _quiet 'apt-get update' "${as_root[@]}" apt-get update
    _quiet "$line" "${install[@]}" </dev/null || give_up 'Have this run, then try again:' "  $line"
  }
fi

# --- npm packages ----------------------------------------------------------------------------------------------------
stamp_of() { { echo "$(node --version) $(uname -m)"; cat "$@"; } | sha256sum | cut -d " " -f 1; }

stamp=$(stamp_of package.json package-lock.json scripts/glslang-validator/package.json)
if [ "$(cat node_modules/.bootstrap 2>/dev/null)" != "$stamp" ]; then
  # Someone who ran `npm install` keeps what it installed, as long as it satisfies package.json.
  if [ ! -d node_modules ] || ! npm ls --all >/dev/null 2>&1; then
    say 'installing npm packages'
    npm ci --no-fund --no-audit --loglevel=error || give_up 'npm ci failed; its lines above say why.'
  fi
  echo "$stamp" >node_modules/.bootstrap
fi

# --- .deps: headers and shader tools of a newer suite ----------------------------------------------------------------
# bin/ holds wrappers that start the newer tools with the newer C library beside them; include/ is all the addon needs:
# Vulkan 1.4 headers (Debian 12's know no cooperative matrices), volk.h, vk_mem_alloc.h. Both are pinned to one suite, so that
# every machine builds from the same sources.
suite=trixie
if [ "$(. /etc/os-release && echo "$ID")" = ubuntu ]; then suite=resolute; fi
stamp=$({ echo "$PWD $suite"; cat scripts/private-debs.sh scripts/bootstrap.sh; } | sha256sum | cut -d ' ' -f 1)
if [ "$(cat .deps/.bootstrap 2>/dev/null)" != "$stamp" ]; then
  has apt-get && has dpkg || give_up 'This is neither Debian nor Ubuntu: see docs/testing.md for what to put into .deps/ by hand.'
  say "fetching Vulkan headers and the GLSL compiler of $suite into .deps/"
  work=$PWD/.deps.$$
  trap 'rm -rf "$work"' EXIT
  (
    private_apt "$work/apt" "$suite" &&
      private_unpack "$work/apt" "$work/root" libvulkan-dev libvulkan-volk-dev libvulkan-memory-allocator-dev glslang-tools spirv-tools libc6 libstdc++6 libgcc-s1
  ) || exit $?
  mkdir -p "$work/new/bin" "$work/new/lib"
  mv "$work"/root/usr/include "$work/new/include"
  for lib in libc.so.6 libm.so.6 libstdc++.so.6 libgcc_s.so.1 'ld-linux*.so.*'; do cp -L "$work"/root/usr/lib/*-linux-gnu*/$lib "$work/new/lib/"; done
  loader=$(basename "$work"/new/lib/ld-linux*)
  for tool in glslangValidator spirv-val; do
    cp -L "$work/root/usr/bin/$tool" "$work/new/lib/$tool"
    printf '#!/bin/sh\nd=%s/.deps/lib\nexec "$d/%s" --library-path "$d" "$d/%s" "$@"\n' "$PWD" "$loader" "$tool" >"$work/new/bin/$tool"
    chmod +x "$work/new/bin/$tool"
  done
  echo "$stamp" >"$work/new/.bootstrap"
  rm -rf .deps
  mv "$work/new" .deps
fi

# --- for the tests: a photograph as a camera's sensor saw it (Canon CR2, of the package rawtran-doc) --------------------------
if [ $test_too = yes ] && [ ! -s .samples/IMG_5952.CR2 ]; then
  has apt-get && has dpkg || give_up 'This is neither Debian nor Ubuntu: put IMG_5952.CR2 of the Debian package rawtran-doc into .samples/.'
  say 'fetching a raw file into .samples/'
  raw=$PWD/.samples.$$
  trap 'rm -rf "$raw" "${work:-$raw}"' EXIT
  (private_apt "$raw/apt" "$suite" && private_unpack "$raw/apt" "$raw/root" rawtran-doc) || exit $?
  mkdir -p .samples
  mv "$raw"/root/usr/share/doc/rawtran/IMG_5952.CR2 .samples/
fi

# --- for the tests: a lavapipe that has cooperative matrices, and the validation layer -----------------------------------
if [ $test_too = yes ]; then bash scripts/lavapipe.sh "$PWD/.lavapipe"; fi
