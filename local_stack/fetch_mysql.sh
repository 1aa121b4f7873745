#!/usr/bin/env bash
# Unpack MySQL's server, which Debian keeps in its unstable suite alone, into var/mysql/tree, without root.
# Prints the program that runs it. The tree brings its own C library, and nothing of it is installed.
set -euo pipefail
cd "$(dirname "$0")/.."
stop() { echo "vigil: $*: the tests run on MariaDB alone here (make test)" >&2; exit 1; }

box=$PWD/var/mysql
program=$box/mysqld
if [ -x "$program" ]; then echo "$program"; exit 0; fi

command -v apt-get >/dev/null && command -v dpkg-deb >/dev/null ||
  stop "MySQL is fetched from Debian unstable, and there is no apt to do it"
keys=/usr/share/keyrings/debian-archive-keyring.gpg
[ -r "$keys" ] || stop "MySQL is fetched from Debian unstable, and $keys, which vouches for it, is not there"
# This machine's own mirror of Debian, whatever suite it takes from there.
mirror=$(apt-get update --print-uris | sed -n "s|^'\(.*/debian/\)dists/.*|\1|p" | sort -u | head -n 1) || true
[ -n "$mirror" ] || stop "MySQL is fetched from Debian unstable, and this machine takes no packages from a mirror of Debian"

echo "vigil: fetching MySQL from Debian unstable into var/mysql" >&2
rm -rf "$box"
mkdir -p "$box/lists/partial" "$box/cache/archives/partial" "$box/tree"
echo "deb [signed-by=$keys] $mirror unstable main" >"$box/sources.list"
touch "$box/status"
# An empty status: every library comes from the same suite, none from this machine.
options=(
  -o "Dir::Etc::sourcelist=$box/sources.list" -o Dir::Etc::sourceparts=/dev/null
  -o "Dir::State::lists=$box/lists" -o "Dir::State::status=$box/status"
  -o "Dir::Cache=$box/cache" -o Debug::NoLocking=1 -o APT::Sandbox::User=
)
{
  apt-get "${options[@]}" update -qq
  apt-get "${options[@]}" install -y -qq --no-install-recommends --download-only mysql-server-core
} >&2 || stop "apt could not fetch mysql-server-core (unstable changes from day to day)"
for package in "$box"/cache/archives/*.deb; do dpkg-deb -x "$package" "$box/tree"; done
rm -rf "$box/lists" "$box/cache"

# Found anew at each start: the project's folder may be moved.
libraries=$(cd "$box" && dirname "$(find tree/usr/lib -name libc.so.6)")
loader=$(cd "$box" && find "$libraries" -maxdepth 1 -name 'ld-linux*.so.*')
cat >"$box/unfinished" <<END
#!/bin/sh
box=\$(dirname "\$0")
exec "\$box/$loader" --library-path "\$box/$libraries" "\$box/tree/usr/sbin/mysqld" "\$@"
END
chmod +x "$box/unfinished"
"$box/unfinished" --no-defaults --version >&2 || stop "what apt fetched does not run here"
mv "$box/unfinished" "$program"
echo "$program"
