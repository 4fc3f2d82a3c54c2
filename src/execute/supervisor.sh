# Argon's supervisor: the only program Argon starts in a job's container. POSIX sh: busybox ash, dash and bash run it.
# Protocol: src/execute/supervisor.rs. Comment lines are not sent.
#
# A reader and an executor, joined by a pipe. The reader always reads stdin, so a kill reaches a running step at once,
# and the end of stdin (argon is gone) ends the container. No step is an asynchronous list: POSIX has a shell start
# those with SIGINT and SIGQUIT ignored, and a step's programs would inherit that.
argon_dir=$1
IFS= read -r argon_nonce || exit 0
argon_setsid=$(command -v setsid) || argon_setsid=
argon_root=
argon_umask=$(umask)
argon_tar=put
if command -v tar >/dev/null && command -v dd >/dev/null; then argon_tar=tar; fi

# The container's CPU time, peak memory and OOM kills so far; cgroup v2, else v1. `-` where the kernel does not tell.
argon_stats() {
  argon_cpu=- argon_peak=- argon_oom=-
  if [ -r /sys/fs/cgroup/cpu.stat ]; then
    while read -r argon_k argon_v; do [ "$argon_k" = usage_usec ] && argon_cpu=${argon_v}000 && break; done </sys/fs/cgroup/cpu.stat
    [ -r /sys/fs/cgroup/memory.peak ] && read -r argon_peak </sys/fs/cgroup/memory.peak
    argon_events=/sys/fs/cgroup/memory.events
  else
    [ -r /sys/fs/cgroup/cpuacct/cpuacct.usage ] && read -r argon_cpu </sys/fs/cgroup/cpuacct/cpuacct.usage
    [ -r /sys/fs/cgroup/memory/memory.max_usage_in_bytes ] && read -r argon_peak </sys/fs/cgroup/memory/memory.max_usage_in_bytes
    argon_events=/sys/fs/cgroup/memory/memory.oom_control
  fi
  [ -r "$argon_events" ] && while read -r argon_k argon_v; do [ "$argon_k" = oom_kill ] && argon_oom=$argon_v && break; done <"$argon_events"
  :
}

# Gathers a process and all its descendants in argon_tree, parents first: for images without setsid, whose steps have no
# process group of their own. What was gathered before stays: a child whose parent died of TERM is found for KILL.
argon_gather() {
  [ "$argon_root" = "$1" ] || argon_root=$1 argon_tree=" $1 "
  argon_grew=yes
  while [ -n "$argon_grew" ]; do
    argon_grew=
    for argon_p in /proc/[0-9]*; do
      { read -r argon_l <"$argon_p/stat"; } 2>/dev/null || continue
      argon_p=${argon_p#/proc/} argon_l=${argon_l##*) } argon_l=${argon_l#* }
      case $argon_tree in *" $argon_p "*) continue ;; esac
      case $argon_tree in *" ${argon_l%% *} "*) argon_tree="$argon_tree$argon_p " argon_grew=yes ;; esac
    done
  done
}

# A step that has not begun yet sees the mark: it writes its pid first and looks for the mark then, here it is the reverse.
argon_kill() {
  : >"$argon_dir/$2.stop"
  { read -r argon_pid <"$argon_dir/$2.pid"; } 2>/dev/null || return 0
  if [ -n "$argon_setsid" ]; then
    kill -s "$1" -- "-$argon_pid" 2>/dev/null || kill -s "$1" "$argon_pid" 2>/dev/null
  else
    argon_gather "$argon_pid"
    kill -s "$1" $argon_tree 2>/dev/null
  fi
}

argon_unpack() {
  while read -r argon_n && [ "$argon_n" -gt 0 ]; do
    dd bs="$argon_n" count=1 iflag=fullblock 2>/dev/null
  done | tar -xf - -C "$1"
  printf '\036%s unpacked %s\n' "$argon_nonce" "$?" >&3
}

argon_reader() {
  while IFS=' ' read -r argon_verb argon_a argon_b; do
    case $argon_verb in
    put) while IFS= read -r argon_l && [ "$argon_l" != "$argon_nonce" ]; do printf '%s\n' "$argon_l"; done >"$argon_dir/$argon_a" ;;
    run) echo "$argon_a" ;;
    kill) argon_kill "$argon_a" "$argon_b" ;;
    unpack) argon_unpack "$argon_a" ;;
    esac
  done
  # The first kill ends the container where an init is PID 1, the second where this shell is.
  kill -s KILL "$$" 2>/dev/null
  kill -s KILL -- -1 2>/dev/null
}

# Sends what a step left in its four files: each frame is one write of no more than a pipe takes at once (PIPE_BUF, 4096
# bytes), so nothing that a background process writes falls into it. From a copy, since such a process may still write.
argon_hand() {
  for argon_k in output env path summary; do
    [ -s "$argon_dir/$1.$argon_k" ] || continue
    argon_i=0 argon_n=
    if dd if="$argon_dir/$1.$argon_k" of="$argon_dir/copy" bs=65536 count=17 && argon_n=$(wc -c <"$argon_dir/copy"); then argon_n=${argon_n##* }; fi
    case $argon_n in
    '') argon_why=lost ;;
    *) [ "$argon_n" -gt 1048576 ] && argon_why=over || argon_why= ;;
    esac
    if [ -n "$argon_why" ]; then
      printf '\036%s data %s %s %s\n' "$argon_nonce" "$1" "$argon_k" "$argon_why"
      continue
    fi
    while [ "$argon_n" -gt 0 ]; do
      argon_l=3968
      [ "$argon_n" -gt 3968 ] || argon_l=$argon_n
      {
        printf '\036%s data %s %s %s\n' "$argon_nonce" "$1" "$argon_k" "$argon_l"
        dd if="$argon_dir/copy" bs=3968 skip="$argon_i" count=1
      } >"$argon_dir/frame"
      dd if="$argon_dir/frame" bs=4096 count=1
      argon_i=$((argon_i + 1)) argon_n=$((argon_n - argon_l))
    done
  done 2>/dev/null
}

argon_executor() {
  while read -r argon_id; do
    (
      read -r argon_pid argon_l </proc/self/stat
      # Under memory pressure the kernel shall take the step, never the shell that reports it.
      { echo 500 >/proc/self/oom_score_adj; } 2>/dev/null
      echo "$argon_pid" >"$argon_dir/$argon_id.pid"
      [ ! -e "$argon_dir/$argon_id.stop" ] || exit 143
      . "$argon_dir/$argon_id"
    ) </dev/null 2>&4 4>&-
    argon_code=$?
    argon_hand "$argon_id"
    argon_why=-
    [ -r "$argon_dir/$argon_id.why" ] && read -r argon_why <"$argon_dir/$argon_id.why"
    argon_stats
    for argon_fd in 1 4; do
      printf '\036%s end %s %s %s %s %s %s\n' "$argon_nonce" "$argon_id" "$argon_code" "$argon_why" "$argon_cpu" "$argon_peak" "$argon_oom" >&"$argon_fd"
    done
  done
}

argon_stats
exec 3>&1
printf '\036%s ready %s %s %s\n' "$argon_nonce" "$argon_tar" "$argon_cpu" "$argon_oom"
# The shell's own words ("Terminated") go nowhere; a step writes to the container's streams.
argon_reader | { exec 3>&- 4>&2 2>/dev/null; argon_executor; }
