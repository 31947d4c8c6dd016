# Sourced by bootstrap.sh and lavapipe.sh: Debian packages of a newer suite, unpacked into a folder of the project and never
# installed. apt gets a state of its own, so that neither the system's sources nor its package database are touched.

# The mirror this machine's apt is already set up for: its first non-security repository of the distribution itself.
_mirror() {
  apt-get indextargets --format '$(ORIGIN)|$(REPO_URI)' 'Created-By: Packages' | sed -n 's/^\(Debian\|Ubuntu\)|//p' | grep -v security | sort -u | head -n 1
}

# private_apt DIR SUITE...: prepares an apt state in DIR with these suites, exports APT_CONFIG to it, fetches the package lists.
private_apt() {
  local dir=$1 arch mirror suite components=main
  shift
  arch=$(dpkg --print-architecture)
  mirror=$(_mirror)
  if [ -z "$mirror" ]; then
    echo 'apt knows no Debian or Ubuntu repository on this machine. Run "apt-get update" as root once, then try again.' >&2
    return 2
  fi
  if [ "$(. /etc/os-release && echo "$ID")" = ubuntu ]; then components='main universe'; fi
  mkdir -p "$dir"/etc/{apt.conf.d,preferences.d} "$dir"/state/lists/partial "$dir"/cache/archives/partial
  : >"$dir/state/status"
  for suite in "$@"; do echo "deb $mirror $suite $components"; done >"$dir/etc/sources.list"
  # Sandbox user: apt would otherwise download as a user who may not enter this folder.
  cat >"$dir/apt.conf" <<EOF
Dir::Etc "$dir/etc";
Dir::Etc::sourceparts "/dev/null";
Dir::Etc::trusted "/etc/apt/trusted.gpg";
Dir::Etc::trustedparts "/etc/apt/trusted.gpg.d";
Dir::State "$dir/state";
Dir::State::status "$dir/state/status";
Dir::Cache "$dir/cache";
APT::Architecture "$arch"; APT::Architectures { "$arch"; };
APT::Sandbox::User "$(id -un)";
APT::Install-Recommends "false";
Acquire::Languages "none"; Acquire::Check-Valid-Until "false"; Acquire::Retries "3";
EOF
  export APT_CONFIG=$dir/apt.conf
  _quiet "fetching the package lists of $*" apt-get update -o APT::Update::Error-Mode=any
}

# private_unpack DIR ROOT PACKAGE[/SUITE]...: downloads just these packages and unpacks them into ROOT.
private_unpack() {
  local dir=$1 root=$2 deb
  shift 2
  (cd "$dir/cache/archives" && _quiet "downloading $*" apt-get download "$@")
  mkdir -p "$root"
  for deb in "$dir"/cache/archives/*.deb; do dpkg -x "$deb" "$root"; done
}

# private_closure PACKAGE[/SUITE]...: these packages and all that they depend on, as NAME=VERSION lines.
private_closure() { apt-get -s install "$@" | sed -n 's/^Inst \([^ ]*\) (\([^ ]*\).*/\1=\2/p'; }

# Runs a command twice at most (mirrors have their moments), printing what it said only if it fails both times.
_quiet() {
  local what=$1 log
  shift
  if log=$("$@" 2>&1) || { sleep 3 && log=$("$@" 2>&1); }; then return 0; fi
  printf '%s\n' "$log" >&2
  echo "failed: $what. The lines above are apt's; a network or mirror error is the usual cause, so try again later." >&2
  return 1
}
