/* SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause */
/*
 * Single system calls that rules ask for, and what a program is when it begins.
 *
 * Of all calls that a program image makes alike only the first is told. They are alike if they are about the same file,
 * socket, names and address, with the same flags and errno, and with the same arguments where those matter.
 */

#include "actions/images.h"
#include "actions/sockets.h"

/* No program's memory is below this: include/linux/mm.h, and what distributions set vm.mmap_min_addr to. */
#define SMALL_ARGUMENT 65536

/* The argument at this position, plus 1. */
static __always_inline u64 argument_of_action(const struct action_draft *draft, u32 position)
{
	u64 at = position - 1;

	barrier_var(at); /* the verifier must see the very number that is checked */
	if (at >= CALL_ARGUMENTS)
		return 0;
	barrier_var(at); /* nor may the place be calculated before it is */
	return draft->sample.args[at];
}

/* What socketcall(2) was asked for, as if it had been called itself. False: nobody asked for that. */
static __always_inline bool unpack_socket_call(struct action_draft *draft)
{
	u32 number = draft->sample.args[0], bit, words[CALL_ARGUMENTS] = {};

	if (number >= 32)
		return false;
	bit = 1U << number;
	if (!(action_settings.socket_calls & bit))
		return false;
	draft->what = action_of_socket_call(number);
	if (draft->errno && !(action_settings.socket_failures & bit) &&
	    !(draft->what == ACTION_CALL_CONNECT && draft->errno == EINPROGRESS))
		return false;
	bpf_probe_read_user(words, sizeof(words), (void *)draft->sample.args[1]);
	for (u32 i = 0; i < CALL_ARGUMENTS; i++)
		draft->sample.args[i] = words[i];
	draft->sample.socket_call = number;
	return true;
}

/* How the file was to be opened. */
static __always_inline void read_open_flags(struct action_draft *draft, const struct action_shape *shape)
{
	u64 flags = CREAT_FLAGS;

	if (!shape->flags && draft->what != ACTION_CALL_CREAT)
		return;
	if (shape->flags)
		flags = argument_of_action(draft, shape->flags);
	if (shape->traits & FLAGS_IN_STRUCT && bpf_probe_read_user(&flags, sizeof(flags), (void *)flags))
		return;
	draft->sample.open_flags = flags;
	draft->sample.flags |= ACTION_OPENED;
}

/* The file or socket that it is about. */
static __always_inline void find_file(struct action_draft *draft, const struct action_shape *shape)
{
	bool is_returned = shape->traits & RETURNS_FILE;
	u32 descriptor, command;
	struct file *file;

	draft->file = 0;
	if (draft->what == ACTION_CALL_FCNTL) {
		command = draft->sample.args[1];
		is_returned = command == DUPLICATE_DESCRIPTOR || command == DUPLICATE_DESCRIPTOR_CLOEXEC;
	}
	if (is_returned ? draft->errno != 0 : !shape->file)
		return;
	descriptor = is_returned ? draft->sample.result : argument_of_action(draft, shape->file);
	file = file_at(running_task(), descriptor);
	if (!file)
		return; /* there is none, or another thread has closed it already */
	draft->file = address_of(file);
	draft->sample.descriptor = descriptor;
	draft->sample.flags |= ACTION_FILE;
}

/* A number for the file, and what is known of it. Not static, so that the verifier looks at it once. */
__noinline u64 hash_of_action_file(void)
{
	struct action_draft *draft = action_draft();
	struct file *file;
	struct inode *inode;
	struct sock *sk;
	u64 number, place;

	if (!draft || !draft->file)
		return 0;
	file = (struct file *)draft->file;
	inode = PEEK(file, f_inode);
	draft->sample.mode = PEEK(inode, i_mode);
	if ((draft->sample.mode & S_IFMT) == S_IFSOCK) {
		sk = socket_at(running_task(), draft->sample.descriptor, &number);
		if (!sk)
			return 0;
		draft->sample.flags |= ACTION_SOCKET;
		return hash_of_ends(address_of(sk));
	}
	if (!has_path(inode))
		return draft->sample.mode;
	place = number_of_place(address_of(PEEK(file, f_path.dentry)), address_of(PEEK(file, f_path.mnt)));
	if (is_in_upper_layer(inode)) {
		draft->sample.flags |= ACTION_UPPER_LAYER;
		place = ~place;
	}
	return place;
}

/* Reads the address that was passed, or given. */
static __always_inline void read_address(struct action_draft *draft, const struct action_shape *shape)
{
	struct network_work *work = network_work(WORK_OF_CALL);
	bool is_given = shape->traits & GIVES_ADDRESS;
	u64 address = argument_of_action(draft, shape->address);
	u64 length = argument_of_action(draft, shape->address + 1);
	u32 bytes = length;

	if (!work || !address || (is_given && draft->errno))
		return;
	if (shape->traits & IS_MESSAGE) {
		work->passed_bytes = 0;
		read_message_header(address, draft->is_compat);
	} else {
		if (is_given && bpf_probe_read_user(&bytes, sizeof(bytes), (void *)length))
			return;
		work->passed_address = address;
		work->passed_bytes = bytes;
		read_passed();
	}
	if (work->passed_bytes)
		hash_passed(is_given);
}

/* Where a name is, and what it starts from: as `files` takes it. */
static __always_inline void pass_name(struct action_draft *draft, const struct action_shape *shape, u32 at,
				      struct passed_name *name)
{
	u64 text = argument_of_action(draft, shape->names[at]);

	name->text = text;
	name->is_there = text != 0;
	name->is_kernels = false;
	name->descriptor = shape->bases[at] ? (s32)argument_of_action(draft, shape->bases[at]) : AT_FDCWD;
	if (!at && shape->traits & FIRST_IS_NO_PATH)
		name->descriptor = -1;
	if (text)
		draft->has_names |= 1U << at;
}

/* Reads the names that were passed, and adds them to the hash. As the one above. */
__noinline int read_action_names(void)
{
	struct action_draft *draft = action_draft();
	struct files_work *work = files_work();
	const struct action_shape *shape;
	u64 what;

	if (!draft || !work)
		return 0;
	what = draft->what;
	barrier_var(what);
	if (what >= ACTION_CALLS)
		return 0;
	barrier_var(what);
	shape = &action_shapes[what];
	pass_name(draft, shape, 0, &work->names.first);
	pass_name(draft, shape, 1, &work->names.second);
	draft->hash = read_name(0, draft->hash);
	draft->hash = read_name(1, draft->hash);
	return 0;
}

/* Adds who makes the call, and what it is, to the hash of what it is about. As the one above. */
__noinline u64 hash_of_action(u64 file)
{
	struct action_draft *draft = action_draft();
	struct task_struct *task = running_task(), *leader = FIELD_OF_RUNNING(task, group_leader);
	const struct action_shape *shape;
	struct action_sample *sample;
	struct sip_hash hash;
	u64 what;

	if (!draft)
		return 0;
	sample = &draft->sample;
	what = draft->what;
	barrier_var(what);
	if (what >= ACTION_CALLS)
		return 0;
	barrier_var(what);
	shape = &action_shapes[what];
	begin_hash(&hash);
	add_to_hash(&hash, file);
	add_to_hash(&hash, draft->hash);
	add_to_hash(&hash, PEEK(leader, start_boottime));
	add_to_hash(&hash, (u64)FIELD_OF_RUNNING(task, tgid) << 32 | (u32)FIELD_OF_RUNNING(task, self_exec_id));
	add_to_hash(&hash, (u64)draft->slot << 32 | draft->generation);
	add_to_hash(&hash, (u64)draft->phase << 48 | (u64)sample->table << 40 | (u64)sample->socket_call << 32 | sample->number);
	add_to_hash(&hash, (u64)sample->open_flags << 32 | draft->errno);
	if (shape->traits & RESULT_MATTERS ||
	    (draft->what == ACTION_CALL_FCNTL && draft->sample.descriptor != (u32)draft->sample.args[0]))
		add_to_hash(&hash, sample->result);
	for (u32 i = 0; i < CALL_ARGUMENTS; i++) {
		u64 value = sample->args[i];

		if (shape->traits & SMALL_ARGUMENTS_MATTER ? value < SMALL_ARGUMENT : shape->matters >> i & 1)
			add_to_hash(&hash, value << 3 ^ i);
	}
	return end_hash(&hash);
}

static __always_inline u32 flags_of_action_path(u32 flags)
{
	barrier_var(flags); /* old verifiers take what the compiler makes of it otherwise for a pointer */
	return (flags & PATH_CUT ? ACTION_PATH_CUT : 0) | (flags & PATH_DELETED ? ACTION_PATH_DELETED : 0) |
	       (flags & PATH_UNREACHABLE ? ACTION_PATH_UNREACHABLE : 0);
}

static __always_inline u32 flags_of_names(u32 first, u32 second)
{
	u32 both = first | second;

	barrier_var(both);
	return (both & (FILE_PATH_CUT | FILE_ARGUMENT_CUT | FILE_ARGUMENT_UNREADABLE) ? ACTION_NAME_CUT : 0) |
	       (first & FILE_UNREACHABLE ? ACTION_BASE_UNREACHABLE : 0) |
	       (second & FILE_UNREACHABLE ? ACTION_SECOND_BASE_UNREACHABLE : 0);
}

/* Adds the names behind the path; gives the new length, 0 if there is no room. As the one above. */
__noinline u64 add_action_names(u64 used)
{
	struct action_draft *draft = action_draft();
	struct name_text *first, *second;
	u32 first_flags = 0, second_flags = 0, base, argument, position = 0;

	first = bpf_map_lookup_elem(&name_texts, &position);
	position = 1;
	second = bpf_map_lookup_elem(&name_texts, &position);
	if (!draft || !first || !second)
		return 0;
	used = add_text(draft->bytes, used, sizeof(draft->bytes) - PATH_BYTES - ARGUMENT_TEXT_BYTES, first, &base,
			&argument, &first_flags);
	if (!used)
		return 0;
	draft->sample.base_bytes = base;
	draft->sample.argument_bytes = argument;
	if (first->dentry)
		draft->sample.flags |= ACTION_BASE;
	used = add_text(draft->bytes, used, sizeof(draft->bytes), second, &base, &argument, &second_flags);
	if (!used)
		return 0;
	draft->sample.second_base_bytes = base;
	draft->sample.second_argument_bytes = argument;
	if (second->dentry)
		draft->sample.flags |= ACTION_SECOND_BASE;
	draft->sample.flags |= flags_of_names(first_flags, second_flags);
	return used;
}

/* Puts the action onto the ring; false if there was no room. As the one above. */
__noinline int tell_action(void)
{
	struct action_draft *draft = action_draft();
	struct task_struct *task = current_task();
	struct action_sample *sample;
	struct file *file;
	u64 used = sizeof(struct action_sample);
	u32 flags;

	if (!draft)
		return 0;
	sample = &draft->sample;
	fill_header(&sample->header, task, draft->slot, draft->generation, draft->phase, SENSOR_actions,
		    ACTIONS_ACTION);
	read_rights(&sample->rights, task);
	file = (struct file *)draft->file;
	if (file && has_path(PEEK(file, f_inode))) {
		sample->path_bytes = write_path(task, &file->f_path, draft->bytes + used, &flags);
		sample->flags |= flags_of_action_path(flags);
		used += sample->path_bytes;
	}
	if (draft->has_names)
		used = add_action_names(used);
	return used ? send_action(draft, used) : 0;
}

/* Not static, so that the verifier looks at it once, whatever the call is. */
__noinline int handle_action(void)
{
	struct action_draft *draft = action_draft();
	const struct action_shape *shape;
	u64 what, hash;
	u32 told = 1;

	if (!draft || (draft->what == ACTION_CALL_SOCKETCALL && !unpack_socket_call(draft)))
		return 0;
	what = draft->what;
	barrier_var(what);
	if (what >= ACTION_CALLS)
		return 0;
	barrier_var(what);
	shape = &action_shapes[what];
	if (shape->traits & ONLY_FAILED && !draft->errno)
		return 0;
	read_open_flags(draft, shape);
	find_file(draft, shape);
	if (shape->address)
		read_address(draft, shape);
	if (shape->names[0])
		read_action_names();
	hash = hash_of_action(hash_of_action_file());
	if (bpf_map_lookup_elem(&told_actions, &hash))
		return 0;
	/* Without room it is told the next time. */
	if (tell_action())
		bpf_map_update_elem(&told_actions, &hash, &told, BPF_ANY);
	return 0;
}

ON_RETURN(actions)
{
	u32 what = name_of_call(call, SENSOR_actions);
	struct action_draft *draft;
	struct slot_state *slot;

	if (!action_settings.enabled)
		return 0;
	/* A connection that is being made is no failure. */
	if (call->errno && !(what & ACTION_CALL_ALSO_FAILED) && what != ACTION_CALL_SOCKETCALL &&
	    !(what == ACTION_CALL_CONNECT && call->errno == EINPROGRESS))
		return 0;
	draft = action_draft();
	slot = slot_at(call->note->slot);
	/* The slot has a new owner, and this task is none of its. */
	if (!draft || !slot || slot->generation != call->note->generation)
		return 0;
	draft->slot = call->note->slot;
	draft->generation = call->note->generation;
	draft->phase = call->note->phase;
	draft->what = what & ~ACTION_CALL_ALSO_FAILED;
	draft->errno = call->errno;
	draft->is_compat = has_short_pointers(call);
	draft->has_names = 0;
	draft->hash = 0;
	__builtin_memset(&draft->sample, 0, __builtin_offsetof(struct action_sample, local_name));
	draft->sample.path_bytes = 0;
	draft->sample.base_bytes = 0;
	draft->sample.argument_bytes = 0;
	draft->sample.second_base_bytes = 0;
	draft->sample.second_argument_bytes = 0;
	draft->sample.pad = 0;
	draft->sample.local_name.bytes = 0;
	draft->sample.remote_name.bytes = 0;
	draft->sample.result = call->result;
	draft->sample.number = call->number;
	draft->sample.table = call->table;
	call_arguments(call->registers, call->table, draft->sample.args);
	return handle_action();
}
