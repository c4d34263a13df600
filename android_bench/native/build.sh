#!/bin/sh
# Build the runner: build.sh android-aarch64 | android-x86_64 | linux-x86_64 | linux-aarch64 [FOLDER]
#
# Needs no NDK: `pip install ziglang` brings the compiler, named by ZIG ("python -m ziglang" by
# default). For Android the program is linked against two libraries that hold nothing but the names
# of the functions it calls; the phone has the real ones. `CC=cc build.sh linux-x86_64` uses another
# compiler for this machine.
set -eu
here=$(cd "$(dirname "$0")" && pwd)
target=${1:?want android-aarch64, android-x86_64, linux-x86_64 or linux-aarch64}
out=${2:-$here/build}/$target
zig=${ZIG:-python3 -m ziglang}
sources="$here/runner.c $here/litert.c $here/tflite.c"
flags="-O2 -std=c11 -Wall -Wextra -Werror -fno-builtin"
mkdir -p "$out"

case $target in
android-aarch64) triple=aarch64-linux-gnu page=16384 ;;
android-x86_64) triple=x86_64-linux-gnu page=16384 ;;
linux-*)
	compiler=${CC:-$zig cc -target ${target#linux-}-linux-gnu.2.27}
	$compiler $flags $sources -o "$out/edgesr-runner" -ldl
	echo "$out/edgesr-runner"
	exit 0
	;;
*)
	echo "build.sh: unknown target $target" >&2
	exit 2
	;;
esac

# every function that libc.h declares, and the entry of bionic
names=$(sed -n 's/^extern .*[ *]\([a-z_]*\)(.*/\1/p' "$here/libc.h")
for library in libc libdl; do
	stub=$out/$library.c
	: >"$stub"
	for name in $names __libc_init; do
		case $library:$name in
		libdl:dl* | libc:[!d]* ) echo "void $name(void) {}" >>"$stub" ;;
		esac
	done
	$zig cc -target $triple -w -fno-builtin -nostdlib -shared -Wl,-soname,$library.so \
		"$stub" -o "$out/$library.so"
	rm "$stub"
done
$zig cc -target $triple $flags -fPIE -pie -nostdlib -fno-stack-protector -fno-sanitize=all \
	-fno-asynchronous-unwind-tables -s \
	-Wl,-dynamic-linker,/system/bin/linker64 -Wl,-z,max-page-size=$page \
	$sources "$here/start.c" "$out/libc.so" "$out/libdl.so" -o "$out/edgesr-runner"
rm "$out/libc.so" "$out/libdl.so"
echo "$out/edgesr-runner"
