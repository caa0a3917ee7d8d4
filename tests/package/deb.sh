#!/bin/sh
# The Debian package: unpacked into an empty directory it runs, from another directory and with nothing of the build around
# it; it holds what it says, names the libraries that the program is linked with, and comes out the same twice.
#   deb.sh BUILD SOURCE_ROOT
set -eu
build=$1 root=$2 bad=0
for tool in dpkg-deb dpkg-shlibdeps; do
    command -v $tool >/dev/null 2>&1 || { echo "$tool is not installed"; exit 77; }
done
work=$(mktemp -d)
trap 'rm -rf "$work"' EXIT
complain() {
    echo "$*"
    bad=1
}

mkdir "$work/one" "$work/two" "$work/empty"
cd "$root"
export SOURCE_DATE_EPOCH=1700000000
package=$(sh .ci/deb "$build" "$work/one")
again=$(umask 077 && sh .ci/deb "$build" "$work/two")
cmp "$package" "$again" || complain "two packages of one build differ"
case $(basename "$package") in
qkscope_*_"$(dpkg --print-architecture)".deb) ;;
*) complain "the package's name: $package" ;;
esac

dpkg-deb -x "$package" "$work/empty"
dpkg-deb -e "$package" "$work/control"
cd "$work/empty"
md5sum --quiet -c "$work/control/md5sums" || complain "md5sums do not fit"
[ "$(find usr -type f | wc -l)" -eq "$(wc -l <"$work/control/md5sums")" ] || complain "md5sums do not name every file"
for line in 'Package: qkscope' 'Depends: .*libc6.*libcjson1.*libhdf5.*libopenblas0.*libpcre2-8-0' 'Installed-Size: [1-9]'; do
    grep -q "^$line" "$work/control/control" || complain "control: no line $line"
done
[ -z "$(find . -newermt @$SOURCE_DATE_EPOCH -type f)" ] || complain "files of another time"
[ -z "$(find . -perm /022 -o ! -perm -044)" ] || complain "modes: $(find . -perm /022 -o ! -perm -044)"
strings -a usr/bin/qkscope | grep -F "$build" && complain "the program knows where it was built"

qkscope=$work/empty/usr/bin/qkscope
clean() { # in an empty environment
    env -i PATH=/usr/bin:/bin LC_ALL=C.UTF-8 HOME="$work" "$@"
}
for command in $(clean "$qkscope" docs commands); do
    gzip -t "usr/share/man/man1/qkscope-$command.1.gz" || complain "no man page of $command"
    [ -s "usr/share/doc/qkscope/commands/$command.md" ] || complain "no page of $command"
done
for file in man/man1/qkscope.1.gz bash-completion/completions/qkscope zsh/vendor-completions/_qkscope \
    doc/qkscope/copyright doc/qkscope/changelog.gz doc/qkscope/examples/cluster/Snakefile; do
    [ -s "usr/share/$file" ] || complain "no $file"
done
version=$(sed -n 's/^Version: //p' "$work/control/control")
clean "$qkscope" version | grep -q "^qkscope  *$version\$" || complain "the program is not version $version"
cd "$work"
clean "$qkscope" drift "$root/examples/amnesia/base" "$root/examples/amnesia/sft" --metrics '*rel_drift' -q -o run.h5 >drift.txt ||
    complain "drift does not run"
grep -q 'most drifted by qk_rel_drift' drift.txt || complain "drift does not answer"
clean "$qkscope" export run.h5 -d qk_rel_drift | grep -q '^/drift/sft/qk_rel_drift' || complain "export does not answer"
exit "$bad"
