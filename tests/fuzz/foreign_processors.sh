#!/bin/sh
# Compares the kernel tables of other processors with scalar, in QEMU's user mode: NEON on 64-bit Arm, and what is left on an
# x86-64 of 2008, where the choice must fall on scalar. Says what it had to leave out; exits 77 if that was everything, and 1 if
# it was anything under continuous integration ($CI).
# Usage: foreign_processors.sh SOURCE_DIRECTORY BUILD_DIRECTORY
set -eu
source=$1
build=$2
mkdir -p "$build"
ran=0
left_out=0

first_of() {
  for program in "$@"; do
    if command -v "$program" >/dev/null 2>&1; then
      echo "$program"
      return
    fi
  done
}

# fails unless the output of kernels_replay ($1) says that table $2 was chosen
expect_chosen() {
  cat "$1"
  grep -q "^chosen by default: $2\$" "$1" || {
    echo "expected the table $2 to be chosen"
    exit 1
  }
  grep -q "nothing found" "$1"
}

flags="-std=c++20 -O2 -Wall -Wextra -Werror -ffp-contract=off -static -I$source"
common="$source/index/simd/dispatch.cc $source/index/simd/scalar.cc $source/tests/fuzz/kernels_fuzzer.cc
  $source/tests/fuzz/replay_main.cc"

compiler=$(first_of aarch64-linux-gnu-g++)
emulator=$(first_of qemu-aarch64-static qemu-aarch64)
if [ -n "$compiler" ] && [ -n "$emulator" ]; then
  echo "== NEON under $emulator"
  # shellcheck disable=SC2086
  "$compiler" $flags -DBEBR_SIMD_ARM $common "$source/index/simd/neon.cc" -o "$build/kernels_replay_aarch64"
  "$emulator" "$build/kernels_replay_aarch64" --rounds 60 >"$build/neon.txt"
  expect_chosen "$build/neon.txt" neon
  # shellcheck disable=SC2086
  "$compiler" $flags -c "$source/index/simd/neon.cc" -o "$build/neon.o"
  sh "$source/tests/unit/simd/check_symbols.sh" aarch64-linux-gnu-nm "$build/neon.o"
  ran=$((ran + 1))
else
  left_out=$((left_out + 1))
  echo "NOT RUN: NEON (needs g++-aarch64-linux-gnu and qemu-user-static)"
fi

emulator=$(first_of qemu-x86_64-static qemu-x86_64)
if [ -n "$emulator" ] && [ "$(uname -m)" = x86_64 ]; then
  echo "== x86-64 without AVX under $emulator"
  simd="$source/index/simd"
  # shellcheck disable=SC2086
  {
    quiet="-Wno-uninitialized -Wno-maybe-uninitialized"
    ${CXX:-g++} $flags -mavx2 -mfma -c "$simd/avx2.cc" -o "$build/avx2.o"
    ${CXX:-g++} $flags $quiet -mavx2 -mfma -mavx512f -mavx512bw -c "$simd/avx512bw.cc" -o "$build/avx512bw.o"
    ${CXX:-g++} $flags $quiet -mavx2 -mfma -mavx512f -mavx512bw -mavx512vpopcntdq -mavx512vnni -mavx512vbmi \
      -c "$simd/avx512.cc" -o "$build/avx512.o"
    ${CXX:-g++} $flags $quiet -mavx2 -mfma -mavx512f -mavx512bw -mavx512vpopcntdq -mavx512vnni -mavx512vbmi -mamx-tile -mamx-int8 \
      -c "$simd/amx.cc" -o "$build/amx.o"
    ${CXX:-g++} $flags -DBEBR_SIMD_X86 $common "$build/avx2.o" "$build/avx512bw.o" "$build/avx512.o" "$build/amx.o" -o "$build/kernels_replay_x86"
  }
  "$emulator" -cpu Nehalem "$build/kernels_replay_x86" --rounds 5 >"$build/nehalem.txt"
  expect_chosen "$build/nehalem.txt" scalar
  # QEMU emulates AVX2 from 7.2 on; an older one has to fall back to scalar too.
  "$emulator" -cpu Haswell "$build/kernels_replay_x86" --rounds 20 >"$build/haswell.txt"
  case $("$emulator" --version | sed -n 's/.*version \([0-9.]*\).*/\1/p') in
    [0-6].* | 7.[01] | 7.[01].*) expect_chosen "$build/haswell.txt" scalar ;;
    *) expect_chosen "$build/haswell.txt" avx2 ;;
  esac
  ran=$((ran + 1))
else
  left_out=$((left_out + 1))
  echo "NOT RUN: x86-64 without AVX (needs qemu-user-static on an x86-64 machine)"
fi
[ "$ran" -gt 0 ] || exit 77
[ -z "${CI:-}" ] || [ "$left_out" -eq 0 ]
