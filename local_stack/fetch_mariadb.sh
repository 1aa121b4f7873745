#!/usr/bin/env bash
# Find MariaDB's server, or unpack Debian's two -core packages into var/mariadb/tree, without root.
# Prints the folder that holds usr/sbin/mariadbd. The -core packages start no daemon.
set -euo pipefail
cd "$(dirname "$0")/.."
stop() { echo "vigil: $*" >&2; exit 1; }

if [ -x /usr/sbin/mariadbd ] && [ -x /usr/bin/mariadb-install-db ]; then echo /; exit 0; fi
box=$PWD/var/mariadb
tree=$box/tree
if [ -f "$box/unpacked" ]; then echo "$tree"; exit 0; fi

command -v apt-get >/dev/null && command -v dpkg-deb >/dev/null ||
  stop "no MariaDB server here, and no apt to fetch one: install mariadb-server, or set VIGIL_DATABASE to mysql://user:password@host:port/schema"
echo "vigil: fetching MariaDB into var/mariadb" >&2
mkdir -p "$box/lists/partial" "$box/cache/archives/partial" "$tree"
options=(-o "Dir::State::lists=$box/lists" -o "Dir::Cache=$box/cache" -o Debug::NoLocking=1 -o APT::Sandbox::User=)
{
  apt-get "${options[@]}" update -qq
  apt-get "${options[@]}" install -y -qq --no-install-recommends --download-only mariadb-server-core mariadb-client-core
} >&2 || stop "apt could not fetch mariadb-server-core: install it by hand, or set VIGIL_DATABASE to mysql://user:password@host:port/schema"
for package in "$box"/cache/archives/*.deb; do dpkg-deb -x "$package" "$tree"; done
rm -rf "$box/lists" "$box/cache"
touch "$box/unpacked"
echo "$tree"
