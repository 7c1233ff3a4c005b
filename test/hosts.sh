#!/bin/bash
# A cluster in one machine: hosts are network namespaces, joined by a bridge.
#
#   hosts.sh [--hosts H] [--rate R] -- COMMAND...
#       Runs COMMAND on the first host, with in the environment
#         HOSTS   "10.1.2.1:2,10.1.2.2:2", for mpirun --host (2 ranks a host: --slots)
#         SUBNET  "10.1.2.0/24"
#         AGENT   a program that takes an address and a command and runs it there
#         MPIRUN  mpirun with all that it needs here, but for -np and the program
#   hosts.sh [--hosts H] --per-host K [--rate R] -- PROGRAM ARGUMENTS...
#       Runs $MPIRUN PROGRAM with K ranks on each host, over TCP.
#
#   --hosts H    2 unless told
#   --rate R     what each host may send, as tc writes it: 1gbit; unlimited unless told
#
# Exit status: the command's; 77, with a line that says why, where it cannot be done here (it needs
# namespaces: root, or user namespaces; ip, and tc for --rate; Open MPI); 2 for a wrong call.
#
# Everything lives in process, mount, and network namespaces of this run: nothing has a name outside,
# so that runs do not collide, and the kernel takes it all down when the first process in it ends,
# however this script ends. /dev/shm and the file system are shared.
set -u

skip() { echo "SKIPPED hosts.sh: $*" >&2; exit 77; }
usage() { echo "hosts.sh: $* (see the top of $0)" >&2; exit 2; }

# ---- outside: make the namespaces, and see to it that they end with this script ----------------

outside() {
    local tool privilege=()
    for tool in ip unshare setpriv mount mpirun; do
        command -v $tool >/dev/null || skip "there is no $tool"
    done
    [ -z "$rate" ] || command -v tc >/dev/null || skip "there is no tc for --rate"
    mpirun --version 2>/dev/null | grep -q 'Open MPI' || skip "mpirun is not Open MPI's"
    [ "$(id -u)" = 0 ] || privilege=(--user --map-root-user)
    local spaces=("${privilege[@]}" --mount --net --pid --fork --kill-child=KILL --mount-proc)
    unshare "${spaces[@]}" true 2>/dev/null ||
        skip "namespaces are not permitted (not root, and no user namespaces)"

    # unshare ignores TERM and INT: so kill it ourselves. It dies with this script in any case.
    RONDE_HOSTS_RUN=$$ setpriv --pdeathsig KILL unshare "${spaces[@]}" \
        bash "$0" "${all[@]}" <&0 &
    local child=$!
    trap 'kill -KILL $child 2>/dev/null; exit 143' TERM HUP
    trap 'kill -KILL $child 2>/dev/null; exit 130' INT
    wait $child
}

# ---- inside: the bridge, the hosts, and mpirun's way to them ------------------------------------

quietly() { "$@" >/dev/null 2>&1 || skip "this machine refuses: $*"; }

# A host: eth0 with an address, its cable's other end in the bridge of this first namespace.
add_host() {
    local host=$1 address=$2
    quietly ip netns add "$host"
    quietly ip link add name "$host" type veth peer name eth0 netns "$host"
    quietly ip link set dev "$host" master bridge up
    quietly ip -n "$host" link set dev lo up
    quietly ip -n "$host" addr add "$address/24" dev eth0
    quietly ip -n "$host" link set dev eth0 up
    [ -z "$rate" ] ||
        quietly tc -n "$host" qdisc add dev eth0 root tbf rate "$rate" burst 128kb latency 50ms
}

# In the namespace of the host with this address, under a host name of its own: that is how Open MPI
# tells hosts apart. mpirun hands over its command as words for a shell.
write_agent() {
    cat >"$AGENT" <<EOF
#!/bin/bash
host=h\${1##*.}
shift
exec ip netns exec \$host unshare --uts -- \\
    bash -c 'hostname "\$0"; exec bash -c "\$*"' \$host-$run "\$@"
EOF
    chmod +x "$AGENT"
}

# What Open MPI needs to know here. Its files get a place that vanishes with the run.
mpirun_command() {
    local variable
    echo "mpirun --allow-run-as-root --host $HOSTS --mca plm_rsh_agent $AGENT" \
        "--mca btl tcp,self --mca pml ob1 --mca btl_tcp_if_include $SUBNET" \
        "--mca oob_tcp_if_include $SUBNET --mca mpi_yield_when_idle 1" \
        "--mca orte_tmpdir_base /run/tmp --mca orte_keep_fqdn_hostnames 1 --bind-to none"
    for variable in LD_LIBRARY_PATH ASAN_OPTIONS LSAN_OPTIONS UBSAN_OPTIONS TSAN_OPTIONS; do
        [ -z "${!variable:-}" ] || echo "-x $variable"
    done
    compgen -e RONDE_ | grep -v '^RONDE_HOSTS_' | sed 's/^/-x /'
}

inside() {
    run=$RONDE_HOSTS_RUN
    unset RONDE_HOSTS_RUN
    local net=10.$((run / 250 % 250 + 1)).$((run % 250 + 1)) host
    quietly mount -t tmpfs tmpfs /run
    mkdir -p /run/netns /run/tmp
    chmod 1777 /run/tmp
    quietly ip link set dev lo up
    quietly ip link add name bridge type bridge
    quietly ip link set dev bridge up
    export SUBNET=$net.0/24 AGENT=/run/agent HOSTS=
    for ((host = 1; host <= hosts; host++)); do
        add_host h$host $net.$host
        HOSTS+=${HOSTS:+,}$net.$host:$slots
    done
    write_agent
    MPIRUN=$(mpirun_command | tr '\n' ' ')
    export MPIRUN
    [ -z "$per_host" ] || words=($MPIRUN -np $((hosts * per_host)) "${words[@]}")

    # Not exec: this shell is the first process of the namespace, and its end is everybody's.
    trap 'exit 143' TERM INT HUP
    ip netns exec h1 unshare --uts -- \
        bash -c 'hostname "$0"; exec "$@"' h1-$run "${words[@]}" <&0 &
    wait $!
}

# ---- arguments ----------------------------------------------------------------------------------

all=("$@") hosts=2 rate= per_host= slots=2
while [ $# -gt 0 ]; do
    case $1 in
    --) shift; break ;;
    --hosts | --rate | --per-host | --slots)
        [ $# -gt 1 ] || usage "$1 needs a value"
        case $1 in
        --hosts) hosts=$2 ;;
        --rate) rate=$2 ;;
        --per-host) per_host=$2 slots=$2 ;;
        --slots) slots=$2 ;;
        esac
        shift 2 ;;
    -*) usage "unknown option $1" ;;
    *) break ;;
    esac
done
words=("$@")
[ $# -gt 0 ] || usage "no command"
[[ $hosts =~ ^[0-9]+$ && $slots =~ ^[0-9]+$ ]] || usage "--hosts, --per-host, --slots are numbers"
[ "$hosts" -ge 1 ] && [ "$hosts" -le 250 ] || usage "--hosts is 1 to 250"

if [ -n "${RONDE_HOSTS_RUN:-}" ]; then inside; else outside; fi
