#!/usr/bin/env bash
# Packs the binaries in dist/OS/ARCH into dist/slacklogs_VERSION_OS_ARCH.tar.gz, with checksums; `make dist` calls it.
#   dist.sh VERSION OS/ARCH...
# The same sources, VERSION and Go give the same bytes: names are sorted, and times, owners and modes are fixed.
set -euo pipefail
cd "$(dirname "$0")/.."

version=$1
shift
# The time of the commit. Without git, such as in a container, that of the first moment that a tar shows everywhere.
time=${SOURCE_DATE_EPOCH:-$(git log -1 --format=%ct 2>/dev/null || echo 86400)}
# BSD's tar does not sort.
tar=tar
! command -v gtar >/dev/null || tar=gtar
sums=sha256sum
command -v sha256sum >/dev/null || sums='shasum -a 256'

# Whoever passes on the binaries passes on the licences of what is in them.
licences() {
	echo "The binaries contain the modules below. Each is followed by its licence."
	{
		go list -C .build -deps -f '{{with .Module}}{{if not .Main}}{{.Path}} {{.Version}} {{.Dir}}{{end}}{{end}}' .
		go list -deps -f '{{with .Module}}{{if not .Main}}{{.Path}} {{.Version}} {{.Dir}}{{end}}{{end}}' ./cmd/slacklogs
		echo "Go $(go env GOVERSION) $(go env GOROOT)"
	} | LC_ALL=C sort -u | while read -r module release dir; do
		[[ $module != github.com/slacklogs/* ]] || continue
		found=
		for file in "$dir"/{LICENSE,LICENCE,COPYING,NOTICE,PATENTS}*; do
			[[ -f $file ]] || continue
			printf '\n==== %s %s: %s\n\n' "$module" "$release" "${file##*/}"
			cat "$file"
			found=yes
		done
		if [[ -z $found ]]; then
			echo "no licence found in $module $release" >&2
			exit 1
		fi
	done
}

stage=$(mktemp -d)
trap 'rm -rf "$stage"' EXIT
for platform in "$@"; do
	name=slacklogs_${version}_${platform//\//_}
	mkdir "$stage/$name"
	cp "dist/$platform/otelcol-slacklogs" "dist/$platform/slacklogs" "$stage/$name"
	cp -R LICENSE README.md CHANGELOG.md CONTRIBUTING.md builder-config.yaml docs examples deploy detections "$stage/$name"
	# What examples/schemas refers to.
	mkdir -p "$stage/$name/test/schemas/testdata"
	cp test/schemas/testdata/{ecs,ocsf}.tsv "$stage/$name/test/schemas/testdata"
	# What is in a binary may differ by platform.
	GOOS=${platform%/*} GOARCH=${platform#*/} licences >"$stage/$name/LICENSES-of-modules.txt"
	"$tar" --create --format=ustar --sort=name --mtime="@$time" --owner=0 --group=0 --numeric-owner \
		--mode=u=rwX,go=rX --directory "$stage" "$name" | gzip -9n >"dist/$name.tar.gz"
done
cd dist
$sums -- *.tar.gz >SHA256SUMS
cat SHA256SUMS
