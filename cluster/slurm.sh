#!/bin/bash
# A sweep in one job of Slurm: `sbatch cluster/slurm.sh SWEEP --storage SHARED_FOLDER_OR_URI ...`, with the words of
# `glad-ray sweep`. Ray's head runs on the first node, workers on all others; all of them work. Cut off by preemption or its
# time limit, or ended by a budget (exit code 3), the job is queued again and goes on. docs/clusters.md says the rest.
# What is yours to set is marked `change:`; words of sbatch overrule the lines below.
#SBATCH --job-name=glad-ray
#SBATCH --nodes=2             # change: as many as you may have
#SBATCH --ntasks-per-node=1
#SBATCH --cpus-per-task=16    # change: with --gpus-per-node and --mem, what a node has
#SBATCH --gpus-per-node=1
#SBATCH --mem=64G
#SBATCH --time=24:00:00       # change: as your partition allows
#SBATCH --requeue
#SBATCH --open-mode=append
#SBATCH --signal=B:TERM@120   # this script is told two minutes before the end

set -uo pipefail

source "${GLAD_RAY_VENV:-$PWD/.venv}/bin/activate"  # change: or `module load` and the like; a folder that all nodes see

export RAY_AUTH_MODE=token RAY_idle_worker_killing_time_threshold_ms=60000 RAY_num_workers_soft_limit=0
export SRUN_CPUS_PER_TASK=$SLURM_CPUS_PER_TASK
# Jobs of others may share the nodes.
port=$((20000 + SLURM_JOB_ID % 5000 * 2))
ip=${HEAD_IP:-$(hostname -I | cut -d' ' -f1)}  # change: HEAD_IP, if the first network card is not the one that nodes share
mapfile -t nodes < <(scontrol show hostnames "$SLURM_JOB_NODELIST")
node_options=(--num-cpus="$SLURM_CPUS_PER_TASK" --num-gpus="${SLURM_GPUS_ON_NODE:-0}" --min-worker-port=0 --max-worker-port=0)

driver=
told=

# Signals are for the driver, which keeps what there is.
tell_driver() {
    told=yes
    if [[ -n $driver ]]; then kill -TERM "$driver"; fi
}
trap tell_driver TERM

# End with a code of the driver's, and be queued again if there is more to do: not if the job was cancelled, which
# Slurm calls completing, and not for ever.
finish() {
    local steps
    mapfile -t steps < <(jobs -p)
    if ((${#steps[@]})); then kill "${steps[@]}" 2>/dev/null; wait "${steps[@]}"; fi
    if [[ $1 == 143 || $1 == 3 ]] && ((${SLURM_RESTART_COUNT:-0} < ${MAX_RESTARTS:-100})) &&
        [[ $(squeue --noheader --jobs="$SLURM_JOB_ID" --format=%T) == RUNNING ]]; then
        scontrol requeue "$SLURM_JOB_ID"
    fi
    exit "$1"
}

(umask 077; ray get-auth-token --generate >/dev/null)  # in ~/.ray, which all nodes see
srun --nodes=1 --ntasks=1 --nodelist="${nodes[0]}" \
    ray start --head --block --node-ip-address="$ip" --port="$port" --ray-client-server-port=$((port + 1)) \
    --temp-dir="/tmp/ray-$SLURM_JOB_ID" --include-dashboard=false "${node_options[@]}" &
head=$!
until ray status --address="$ip:$port" >/dev/null 2>&1; do
    if [[ -n $told ]]; then finish 143; fi
    if ! kill -0 "$head" 2>/dev/null; then echo "Ray's head did not start on ${nodes[0]}." >&2; finish 1; fi
    sleep 2
done
if ((${#nodes[@]} > 1)); then
    others=$((${#nodes[@]} - 1))
    srun --nodes="$others" --ntasks="$others" --exclude="${nodes[0]}" \
        ray start --block --address="$ip:$port" "${node_options[@]}" &
fi

glad-ray sweep "$@" --address "$ip:$port" &
driver=$!
if [[ -n $told ]]; then kill -TERM "$driver"; fi
# A signal ends the waiting, not the driver.
until wait "$driver"; code=$?; ! kill -0 "$driver" 2>/dev/null; do :; done
driver=
finish "$code"
