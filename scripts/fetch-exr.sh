#!/usr/bin/env bash
# Linear HDR photographs to measure quality on, beside the sample photographs: the EXR files of Debian's psychtoolbox-3-common
# (26 MB, see its copyright file), unpacked into a folder and not installed.   scripts/fetch-exr.sh FOLDER
set -euo pipefail
[ $# = 1 ] || { echo "usage: $0 FOLDER" >&2; exit 2; }
mkdir -p "$1"
target=$(cd "$1" && pwd)
work=$(mktemp -d)
trap 'rm -rf "$work"' EXIT
(cd "$work" && apt-get download -q psychtoolbox-3-common >apt.log 2>&1) || { cat "$work/apt.log" >&2; echo 'apt could not download psychtoolbox-3-common: run "apt-get update" as root, then try again.' >&2; exit 1; }
dpkg -x "$work"/*.deb "$work/root"
# WideColorGamut is a chart, no photograph.
find "$work/root" -iname '*.exr' ! -name 'WideColorGamut*' -exec cp {} "$target/" \;
cp "$work"/root/usr/share/doc/psychtoolbox-3-common/copyright "$target/copyright.txt"
count=$(find "$target" -maxdepth 1 -iname '*.exr' | wc -l)
[ "$count" -gt 0 ] || { echo 'the package holds no EXR files any more' >&2; exit 1; }
echo "$count EXR photographs in $1"
