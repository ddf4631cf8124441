/* SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause */
/*
 * Which task belongs to which container, from its first instruction to its last.
 *
 * Attached before every other sensor on the hooks that bring a task in, and after them on the one that takes it away,
 * so that they all see the slot.
 */

#include "tasks.h"

enum identity_kind {
	IDENTITY_CREATED,
	IDENTITY_STARTED,
	IDENTITY_ENDED,
	IDENTITY_ENTERED,
};
EXPORT(enum, identity_kind);

/* A turn in the life of a slot. The slot itself has the path, and keeps all of this should the sample be lost. */
struct slot_sample {
	struct sample_header header;
	u64 cgroup_id;
	u32 parent;
	u32 mount_ns;
	u32 pid_ns;
	u32 user_ns;
};
EXPORT(struct, slot_sample);

struct entered_sample {
	struct sample_header header;
	struct task_ref task;
	u32 whole_process;
	u32 pad;
};
EXPORT(struct, entered_sample);

static __always_inline void tell(u32 number, u8 kind)
{
	struct slot_state *slot = slot_at(number);
	struct slot_sample *sample;
	struct task_note who = {.slot = number};

	if (!slot)
		return;
	who.generation = slot->generation;
	who.phase = slot->started_ns ? PHASE_MAIN : PHASE_RUNTIME_INIT;
	sample = reserve_sample(slot_sample, current_task(), &who, SENSOR_identity, kind);
	if (!sample)
		return;
	sample->cgroup_id = slot->cgroup_id;
	sample->parent = slot->parent;
	sample->mount_ns = slot->mount_ns;
	sample->pid_ns = slot->pid_ns;
	sample->user_ns = slot->user_ns;
	bpf_ringbuf_submit(sample, 0);
}

HOOK("cgroup_mkdir", on_cgroup_mkdir, struct cgroup *cgroup, const char *path)
{
	u64 id = BPF_CORE_READ(cgroup, kn, id);
	u64 parent_id = BPF_CORE_READ(cgroup, self.parent, cgroup, kn, id);
	u32 parent, number;
	struct slot_state *slot = 0;
	long bytes;

	if ((u32)BPF_CORE_READ(cgroup, root, hierarchy_id) != settings.identity_hierarchy)
		return 0;
	parent = slot_of_cgroup(parent_id);
	number = take_slot(&slot);
	if (!slot) {
		add(shared.slots_exhausted, 1);
		/* Inside a container it is at least part of that one. */
		if (parent)
			bpf_map_update_elem(&cgroup_slots, &id, &parent, BPF_ANY);
		return 0;
	}
	slot->cgroup_id = id;
	/* A runtime inside a container may make its containers' cgroups anywhere. */
	slot->parent = parent ? parent : slot_of_task_by_cgroup(current_task());
	slot->created_ns = bpf_ktime_get_boot_ns();
	set_outside(slot, current_task());
	bytes = bpf_probe_read_kernel_str(slot->path, sizeof(slot->path), path);
	slot->path_bytes = bytes > 0 ? bytes - 1 : 0;
	if (bytes == sizeof(slot->path))
		slot->flags |= SLOT_PATH_CUT;
	slot->status = SLOT_CANDIDATE;
	bpf_map_update_elem(&cgroup_slots, &id, &number, BPF_ANY);
	tell(number, IDENTITY_CREATED);
	return 0;
}

/* The number of its mount namespace may be another container's by now. */
static __always_inline void forget_namespace(struct slot_state *slot, u32 number)
{
	u32 mount_ns = slot->mount_ns, *known;

	known = bpf_map_lookup_elem(&namespace_slots, &mount_ns);
	if (known && *known == number)
		bpf_map_delete_elem(&namespace_slots, &mount_ns);
}

HOOK("cgroup_rmdir", on_cgroup_rmdir, struct cgroup *cgroup, const char *path)
{
	u64 id = BPF_CORE_READ(cgroup, kn, id);
	u32 number;
	struct slot_state *slot;

	if ((u32)BPF_CORE_READ(cgroup, root, hierarchy_id) != settings.identity_hierarchy)
		return 0;
	number = slot_of_cgroup(id);
	bpf_map_delete_elem(&cgroup_slots, &id);
	slot = slot_at(number);
	/* A cgroup that only shares its parent's slot ends nothing. */
	if (!slot || slot->cgroup_id != id)
		return 0;
	forget_namespace(slot, number);
	slot->ended_ns = bpf_ktime_get_boot_ns();
	slot->status = SLOT_ENDED;
	tell(number, IDENTITY_ENDED);
	return 0;
}

static __always_inline void tell_entered(u32 number, struct task_struct *who, bool whole_process, u8 phase)
{
	struct slot_state *slot = slot_at(number);
	struct task_note mover = {.slot = number, .phase = phase};
	struct entered_sample *sample;

	if (!slot)
		return;
	mover.generation = slot->generation;
	sample = reserve_sample(entered_sample, current_task(), &mover, SENSOR_identity, IDENTITY_ENTERED);
	if (!sample)
		return;
	refer_to(&sample->task, who);
	sample->whole_process = whole_process;
	sample->pad = 0;
	bpf_ringbuf_submit(sample, 0);
}

/*
 * The tracepoint names only the leader, and fires when all its threads have moved already. Each task finds its slot
 * itself at its next call, so that nobody else ever writes its counts.
 */
HOOK("cgroup_attach_task", on_cgroup_attach_task, struct cgroup *cgroup, const char *path, struct task_struct *task,
     bool whole_process)
{
	struct task_note *note;
	u32 number;

	if ((u32)BPF_CORE_READ(cgroup, root, hierarchy_id) != settings.identity_hierarchy)
		return 0;
	/*
	 * A task that was moved through several hierarchies may have its cgroups at an address that it was looked up
	 * with before: what lay there is gone. So nobody's is believed any more.
	 */
	add(shared.epoch, 1);
	note = note_at(note_number_of(task));
	if (note)
		note->css_set = 0;
	number = slot_of_cgroup(BPF_CORE_READ(cgroup, kn, id));
	if (!number)
		return 0;
	tell_entered(number, task, whole_process, PHASE_RUNTIME_INIT);
#if OLD_KERNEL
	take_note(task, number);
	/* User space gives each of the other threads a note, and takes this back. */
	if (whole_process && BPF_CORE_READ(task, signal, nr_threads) > 1) {
		add(shared.maybe_watched, 1);
		add(shared.late_groups, 1);
	}
#endif
	return 0;
}

/* The number of the note for a child that does not run yet; 0 if it is in no container, NO_NOTE if none was left. */
static __always_inline u32 note_for_child(struct task_struct *parent, struct task_struct *child, u64 css_set)
{
	struct task_note *of_parent = current_note(parent), *note;
	bool same_cgroups = css_set == (u64)parent->cgroups;
	struct task_note who = {};
	struct slot_state *slot;
	u32 number;

	if (of_parent) {
		who.slot = of_parent->slot;
		who.phase = of_parent->phase;
		who.flags = of_parent->flags;
	} else if (same_cgroups) {
		return 0;
	}
	/* A child belongs to its own cgroup: CLONE_INTO_CGROUP moves nobody and fires no attach. */
	if (!same_cgroups) {
		u32 own = slot_of_task_by_cgroup(child);

		if (own != who.slot && (own || !(who.flags & TASK_INHERITS))) {
			slot = slot_at(own);
			if (!slot)
				return 0;
			who.slot = own;
			who.flags = 0;
			enter_phase(child, slot, &who.phase, &who.flags);
			tell_entered(own, child, true, who.phase);
		}
	}
	slot = slot_at(who.slot);
	if (!slot)
		return 0;
	add(slot->threads, 1);
	if (child->pid == child->tgid)
		add(slot->processes, 1);
	number = take_note(child, who.slot);
	note = note_at(number);
	if (!note)
		return number;
	/* The last task at this address went unseen. */
	if (note->slot)
		leave_slot(note);
	add(slot->tasks_entered, 1);
	note->css_set = css_set;
	note->slot = who.slot;
	note->generation = slot->generation;
	note->phase = who.phase;
	note->flags = who.flags | TASK_BORN_INSIDE;
	return number;
}

HOOK("sched_process_fork", on_fork_identity, struct task_struct *parent, struct task_struct *child)
{
	/* It can be moved already, and tasks that nobody moves can be in a container from now on. */
	u32 seen_epoch = shared.epoch;
	u64 css_set = (u64)child->cgroups;
	u32 number;

	barrier();
	number = note_for_child(parent, child, css_set);
	if (number == NO_NOTE)
		forget_owner(child);
	else
		remember_owner(child, number, css_set, seen_epoch);
	return 0;
}

/* Books one call less, or one more, of the phase that the task is in. */
static __always_inline void rebook(struct task_note *note, s64 n)
{
	if (has_noted_call(note))
		count_in_total(note->slot, PHASE_AND_TABLE(note->phase, note->current_table), note->current_call - 1, 0,
			       n);
}

/* The exec is part of the phase that it begins, as strace would show it. */
static __always_inline void begin_phase(struct slot_state *slot, struct task_note *note, u8 phase)
{
	add(slot->folds_begun, 1);
	fold_counts(note);
	rebook(note, -1);
	note->phase = phase;
	rebook(note, 1);
	add(slot->folds_ended, 1);
}

static __always_inline void start_container(struct slot_state *slot, u32 number, struct task_struct *task)
{
	slot->mount_ns = mount_ns_of(task);
	slot->mount_ns_id = mount_ns_id_of(task);
	slot->pid_ns = pid_ns_of(task);
	slot->user_ns = BPF_CORE_READ(task, real_cred, user_ns, ns.inum);
	slot->init_pid = BPF_CORE_READ(task, tgid);
	slot->started_ns = bpf_ktime_get_boot_ns();
	slot->status = SLOT_CONTAINER;
	if (slot->mount_ns != slot->outer_mount_ns)
		bpf_map_update_elem(&namespace_slots, &slot->mount_ns, &number, BPF_ANY);
	tell(number, IDENTITY_STARTED);
}

/* Whether this exec, by a task in runtime-init, is the one that starts the workload. */
static __always_inline bool starts_workload(struct slot_state *slot, u32 number, struct task_struct *task)
{
	struct task_struct *parent = BPF_CORE_READ(task, real_parent);

	/* Hooks are children of the init task, which itself was made from outside. */
	if (slot_of_task_by_cgroup(parent) == number)
		return false;
	return slot->flags & SLOT_NAMED || root_of(task) != slot->outer_root || pid_ns_of(task) != slot->outer_pid_ns;
}

/* Whether the mount namespace that the task is in is that of a container; gives its slot. */
static __always_inline bool slot_by_mount_ns(struct task_struct *task, u32 mount_ns, u32 *number)
{
	u32 *known = bpf_map_lookup_elem(&namespace_slots, &mount_ns);
	struct slot_state *slot;

	if (!known)
		return false;
	*number = *known;
	slot = slot_at(*known);
	return slot && (!slot->mount_ns_id || slot->mount_ns_id == mount_ns_id_of(task));
}

/* A program in a mount namespace and a root of its own, in no cgroup of ours. */
static __always_inline void enter_by_namespace(struct task_struct *task)
{
	u32 mount_ns = mount_ns_of(task);
	struct task_note *note;
	struct slot_state *slot = 0;
	u32 number, number_of_note;
	bool known;

	if (!shared.look_for_namespaces || mount_ns == shared.host_mount_ns || mount_ns == shared.own_mount_ns)
		return;
	known = slot_by_mount_ns(task, mount_ns, &number);
	if (known) {
		slot = slot_at(number);
	} else {
		u64 root = root_of(task);

		if (root == shared.host_root || root == shared.own_root)
			return;
		number = take_slot(&slot);
		if (!slot) {
			add(shared.slots_exhausted, 1);
			return;
		}
		slot->created_ns = bpf_ktime_get_boot_ns();
		slot->outer_root = shared.own_root;
		slot->outer_mount_ns = shared.own_mount_ns;
		slot->flags = SLOT_NO_CGROUP;
		tell(number, IDENTITY_CREATED);
		start_container(slot, number, task);
	}
	if (!slot)
		return;
	number_of_note = take_note(task, number);
	note = note_at(number_of_note);
	if (!note)
		return;
	add(slot->tasks_entered, 1);
	note->css_set = (u64)task->cgroups;
	note->slot = number;
	note->generation = slot->generation;
	note->phase = known ? PHASE_EXEC : PHASE_MAIN;
	note->flags = TASK_INHERITS;
	remember_owner(task, number_of_note, note->css_set, shared.epoch);
	if (known)
		tell_entered(number, task, true, PHASE_EXEC);
}

HOOK("sched_process_exec", on_exec_identity, struct task_struct *task, pid_t old_pid, struct linux_binprm *bprm)
{
	struct task_note *note;
	struct slot_state *slot;

	note = current_note(task);
	if (!note) {
		enter_by_namespace(task);
		return 0;
	}
	slot = slot_at(note->slot);
	if (!slot)
		return 0;
	add(slot->execs, 1);
	if (note->phase != PHASE_RUNTIME_INIT)
		return 0;
	if (!slot->started_ns) {
		if (!starts_workload(slot, note->slot, task))
			return 0;
		start_container(slot, note->slot, task);
		begin_phase(slot, note, PHASE_MAIN);
	} else if (note->flags & TASK_SESSION && mount_ns_of(task) == slot->mount_ns) {
		begin_phase(slot, note, PHASE_EXEC);
	}
	return 0;
}

HOOK_OF_EXIT(on_exit_identity)
{
	struct task_note *note = current_note(task);
	u32 number;

	if (note && note->slot)
		leave_slot(note);
	forget_owner(task);
	forget_programs(task);
	if (shared.processes_named && task->signal->live.counter <= 0) {
		u32 pid = task->tgid;

		bpf_map_delete_elem(&named_processes, &pid);
	}
	/* It may have one still though it left its last container long ago. */
	number = note_number_of(task);
	if (number)
		give_note_back(task, number);
	return 0;
}

/* A task that was there before the recording began, or that came in behind its leader. */
struct adopted_task {
	struct task_ref task;
	struct task_ref parent;
	u32 slot;
	u32 generation;
	u32 tid_inside;
	u32 pid_ns;
	u32 mount_ns;
	u32 user_ns;
};
EXPORT(struct, adopted_task);

/* Tells user space of every task of a container. */
SEC("iter/task")
int adopt_task(struct bpf_iter__task *ctx)
{
	struct adopted_task record = {};
	struct task_struct *task = ctx->task, *reader = current_task();
	struct slot_state *slot;

	if (!task)
		return 0;
	shared.own_root = root_of(reader);
	shared.own_mount_ns = mount_ns_of(reader);
	if (task->pid == 1) {
		shared.host_root = root_of(task);
		shared.host_mount_ns = mount_ns_of(task);
	}
	/* The first thread of the kernel's own never leaves the namespaces that the machine began with. */
	if (task->pid == 2) {
		if (!shared.host_mount_ns)
			shared.host_mount_ns = mount_ns_of(task);
		shared.host_net_ns = BPF_CORE_READ(task, nsproxy, net_ns, ns.inum);
		shared.host_ipc_ns = BPF_CORE_READ(task, nsproxy, ipc_ns, ns.inum);
		shared.host_uts_ns = BPF_CORE_READ(task, nsproxy, uts_ns, ns.inum);
		shared.host_cgroup_ns = BPF_CORE_READ(task, nsproxy, cgroup_ns, ns.inum);
	}
	/* One that waits to be reaped is no more. */
	if (task->flags & (PF_KTHREAD | PF_EXITING))
		return 0;
	record.slot = slot_of_task_by_cgroup(task);
	if (!record.slot && shared.processes_named)
		record.slot = slot_of_named_process(task);
	slot = slot_at(record.slot);
	if (!slot)
		return 0;
#if OLD_KERNEL
	take_note(task, record.slot);
#endif
	record.generation = slot->generation;
	refer_to(&record.task, task);
	refer_to(&record.parent, BPF_CORE_READ(task, real_parent));
	pid_inside(task, &record.tid_inside, &record.pid_ns);
	record.mount_ns = mount_ns_of(task);
	record.user_ns = BPF_CORE_READ(task, real_cred, user_ns, ns.inum);
	bpf_seq_write(ctx->meta->seq, &record, sizeof(record));
	return 0;
}
