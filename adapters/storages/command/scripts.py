"""What is run at a site for its files: POSIX shell, GNU tools. Names are arguments, or stand between NULs on stdin."""

from __future__ import annotations

# `$1`: Where room is asked for; the first line tells of it, and of nothing where nobody asks.
STATS = r"""
p=$1
while [ -n "$p" ] && [ ! -e "$p" ]; do p=${p%/*}; p=${p:-/}; done
set -- 0 0
[ -z "$p" ] || set -- $(stat -f -c '%a %S' -- "$p")
echo "$(($1 * $2))"
{ xargs -0 -r stat -L --printf '%s %b %B %.9Y %i %n\0' -- 2>&1 >&3 | grep -aEv 'No such file|Not a directory' >&2
} 3>&1 | base64
"""

# Old builds of sha256sum take five times as long as OpenSSL, which for many small files would be started too often.
DIGEST = r"""
if command -v openssl >/dev/null; then openssl dgst -sha256 -r <"$1"; else sha256sum -b <"$1"; fi && wc -c <"$1"
"""

DIGESTS = r"""
xargs -0 -r /bin/sh -c '
exec 2>/dev/null
if [ $# -gt 16 ] || ! command -v openssl >/dev/null; then sha256sum -bz -- "$@"
else for file; do sum=$(openssl dgst -sha256 -r <"$file") && printf "%s *%s\0" "${sum%% *}" "$file"; done
fi
stat -L --printf "%s %n\0" -- "$@"
:' sh | base64
"""

LIST = r"""
if [ -f "$1" ]; then p=${1%/}; printf '%s\0' "${p##*/}" | base64; exit; fi
[ -d "$1" ] || exit 3
find -H "$1" '(' -type f -o -type l -xtype f ')' -printf '%P\0' | base64
"""

READ_RANGE = r"""
: <"$1" && tail -c "+$2" -- "$1" | head -c "$3" | base64
"""

WRITE = r"""
mkdir -p -- "${1%/*}" && base64 -d >"$1.part" && mv -fT -- "$1.part" "$1" && exit 0
rm -f -- "$1.part"
exit 1
"""

# One process for all renames: a fork for each of ten thousand files takes longer than their transfer.
_PERL_RENAME = r"""
use strict; use warnings;
my ($number, %made) = (0);
sub fail { print STDERR "pair $number: $!\n"; exit 1 }
sub make { my ($path) = @_; return if $path eq "" || $made{$path} || -d $path;
    make($1) if $path =~ m{\A(.*)/[^/]+/*\z}s; mkdir $path or -d $path or fail(); $made{$path} = 1 }
$/ = "\0";
while (defined(my $source = <STDIN>)) {
    my $target = <STDIN>; chomp($source, $target);
    make($1) if $target =~ m{\A(.*)/}s;
    rename($source, $target) or fail();
    $number++;
}
"""

RENAME = f"""
if command -v perl >/dev/null 2>&1; then exec perl -e {"'" + _PERL_RENAME + "'"}; fi
exec xargs -0 -r -n 2 /bin/sh -c 'mkdir -p -- "${{2%/*}}" && mv -fT -- "$1" "$2" || exit 255' sh
"""

COPY = r"""
exec xargs -0 -r -n 2 /bin/sh -c '
mkdir -p -- "${2%/*}" && cp -fT --reflink=auto --sparse=auto -- "$1" "$2" || exit 255' sh
"""

PROBE = r"""
place=${1%/*}
mkdir -p -- "$place" || exit 1
room=$place/.convoy-room-$$
trap 'rm -f -- "$room"' EXIT
said=$(fallocate -l "$2" -- "$room" 2>&1) && exit 0
case $said in *[Ss]pace\ left*|*[Qq]uota*) echo "$said" >&2; exit 1 ;; esac
head -c "$(( $2 < 67108864 ? $2 : 67108864 ))" /dev/zero >"$room"
"""
