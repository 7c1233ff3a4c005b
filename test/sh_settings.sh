#!/bin/sh
# ronde-test: timeout=60
# A setting that must be alike on all ranks and is not is an error on each, naming it and both values.
set -u
case $("${MPIRUN:-mpirun}" --version 2>&1) in
*"Open MPI"*) ;;
*) echo "the colon syntax of Open MPI's mpirun is used" >&2; exit 77 ;;
esac
failed=0
alike=
for setting in SLICE_BYTES=512K SLOTS=8 WIRE_BUFFER_BYTES=1M CACHE_CAPACITY=9 RANKS_PER_NODE=1 ALLREDUCE=0-:ring \
    PROCESS_SETS=1; do
    name=$(echo "${setting%%=*}" | tr '[:upper:]' '[:lower:]')
    alike="$alike$name "
    out=$(timeout 20 tools/mpirun.sh -np 1 "$BUILD/bin/ronde-info" : -np 1 env "RONDE_$setting" "$BUILD/bin/ronde-info" 2>&1)
    status=$?
    if [ $status -eq 0 ] || ! printf '%s\n' "$out" | grep -q "setting $name differs: rank 0 has .* rank 1 has"; then
        echo "RONDE_$setting on rank 1 alone: status $status" >&2
        printf '%s\n' "$out" >&2
        failed=1
    fi
done

# Rows of allreduce are read late; the message calls the setting as the others' do.
expect() { # TEXT COMMAND...: it fails, and says so
    text=$1
    shift
    out=$(timeout 20 "$@" 2>&1) && status=0 || status=$?
    if [ $status -eq 0 ] || ! printf '%s\n' "$out" | grep -qF "$text"; then
        echo "$*: status $status, without: $text" >&2
        printf '%s\n' "$out" >&2
        failed=1
    fi
}
folder=$(mktemp -d)
echo "allreduce=0-:rong" >"$folder/rows"
printf '# two lines\nslots=99\n' >"$folder/slots"
info=$BUILD/bin/ronde-info
expect 'RONDE_ALLREDUCE is "0-:rong": "0-:rong" names no algorithm' env RONDE_ALLREDUCE=0-:rong "$info"
expect 'the setting allreduce is "ring,x-1": "x-1" names no algorithm' "$info" -s allreduce=ring,x-1
expect "$folder/rows: allreduce is \"0-:rong\"" env "RONDE_TUNING_FILE=$folder/rows" "$info"
expect 'RONDE_PROCESS_SETS is "0/x": want lists of ranks below 1' env RONDE_PROCESS_SETS=0/x "$info"
expect 'the setting process_sets is "0,0": want lists of ranks' "$info" -s process_sets=0,0
expect "$folder/slots:2: slots is \"99\": want a whole number" env "RONDE_TUNING_FILE=$folder/slots" "$info"
expect "RONDE_TUNING_FILE is \"$folder/none\", and there is no such file" env "RONDE_TUNING_FILE=$folder/none" "$info"
echo "slots=8" >"$folder/slots"
if ! RONDE_TUNING_FILE="$folder/slots" timeout 20 "$info" | grep -q '^slots  *8  *file '; then
    echo "slots of a tuning file were not taken" >&2
    failed=1
fi

# The table of docs/settings.md has every setting, with the meaning, range and default that the library has.
"$info" | sed -n '/^setting /,$p' | sed 1d >"$folder/told"
while read -r name _ _ help; do
    meaning=${help% (*; default *)}
    range=none
    default=none
    case $help in *"; default "*)
        range=${help##* (}
        range=${range%; default *}
        default=${help##*; default }
        default=${default%)}
        ;;
    esac
    row=$(grep "^| \`$name\` |" docs/settings.md | tr -d '\`')
    case " $alike" in *" $name "*) same=yes ;; *) same=no ;; esac
    written=$(echo "$row" | awk -F ' [|] ' '{ gsub(", ", "|", $3); print $3 }')
    [ "$range" != none ] || written=none
    if [ "$row" = "${row#"| $name | $meaning |"}" ] || [ "$written" != "$range" ] ||
        [ "$row" = "${row%"| $default | $same |"}" ]; then
        echo "docs/settings.md has \"$row\", but it is \"$name\": $help; the same on all ranks: $same" >&2
        failed=1
    fi
done <"$folder/told"
[ "$(wc -l <"$folder/told")" -gt 15 ] || { echo "ronde-info told too little" >&2; failed=1; }

# The man page knows the same variables that must be equal.
written=$(sed -n '/^These must be equal/,/^The others/s/^\.Ev RONDE_\([A-Z_]*\).*/\1/p' docs/man/ronde.7 |
    tr '[:upper:]\n' '[:lower:] ')
if [ "$written" != "$alike" ]; then
    echo "docs/man/ronde.7 has \"$written\" equal on all ranks, but it is \"$alike\"" >&2
    failed=1
fi
rm -r "$folder"
exit $failed
