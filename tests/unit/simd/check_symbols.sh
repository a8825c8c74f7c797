#!/bin/sh
# Fails if an object built for one instruction set defines anything but its kernel table: a weak or common symbol (an inline
# function, a template) would be merged with everybody else's copy, and crash on processors without the instructions.
# Usage: check_symbols.sh NM OBJECTS...
nm=$1
shift
checked=0
for object in "$@"; do
  case ${object##*/} in
    scalar.* | dispatch.* | choice.*) continue ;; # for every processor
  esac
  checked=$((checked + 1))
  # Lower case: local to the object. Upper case: visible to the linker; V, W, u and C may be merged. RequestAmx is called on
  # processors with AMX only.
  found=$("$nm" -C --defined-only "$object" | grep -E '^[0-9a-f]* [A-Zu] ' | grep -v -E ' [DR] bebr::simd::k[A-Za-z0-9]*Table$' |
    grep -v -E ' (__asan|__odr_asan|DW.ref)| T bebr::simd::RequestAmx\(\)$')
  if [ -n "$found" ]; then
    echo "$object: symbols that code for other processors could be linked to:"
    echo "$found"
    exit 1
  fi
done
if [ "$checked" -eq 0 ]; then
  echo "no object of an instruction set among: $*"
  exit 1
fi
echo "$checked objects define nothing but their kernel tables"
